package chaos

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"culvert/sbrp"
)

// Spec says how a relay cheats: the parsed form of a SPEC, whose words [Usage] explains. The zero Spec is honest.
type Spec struct {
	seed   uint64
	to     sbrp.Role // only messages to this end; zero: to both
	on     phase
	delay  time.Duration
	jitter time.Duration // each message is late by delay, and by as much as this more or less
	rate   float64       // bytes per second to each endpoint; zero: as many as come
	hold   time.Duration // once in each session, each way
	says   []saying
	odds   [cheats]odds
}

// phase says which messages are cheated with.
type phase uint8

const (
	onData      phase = iota // sealed messages
	onHandshake              // HandshakeInit and HandshakeAccept
	onAll                    // both
)

var phaseWords = [...]string{onData: "data", onHandshake: "handshake", onAll: "all"}

// saying is a control code for which nothing has happened.
type saying struct {
	code sbrp.Code
	at   int // before this sealed message of a session to an end, from 1; zero: before its handshake message
}

// cheat is what befalls a single message.
type cheat uint8

// The cheats, in the order in which a message meets them.
const (
	swapIdentity cheat = iota
	swapEphemeral
	strip
	forge
	drop
	flip
	truncate
	swapSession
	reflectBack
	replay
	reorder
	cut
	cheats // how many there are
)

var cheatWords = [cheats]string{
	swapIdentity: "swap-identity", swapEphemeral: "swap-ephemeral", strip: "strip", forge: "forge", drop: "drop", flip: "flip",
	truncate: "truncate", swapSession: "swap-session", reflectBack: "reflect", replay: "replay", reorder: "reorder", cut: "cut",
}

// fits tells whether a cheat is done with a message, sealed or of the handshake. Some make sense with the latter alone,
// whatever on says.
func (c cheat) fits(sealed bool, on phase) bool {
	switch {
	case c <= strip:
		return !sealed
	case sealed:
		return on != onHandshake
	default:
		return on != onData
	}
}

// odds say how often a cheat is done. The zero odds: never.
type odds struct {
	once bool    // one time in each session, each way
	p    float64 // of each message
}

// Bounds of a SPEC. A longer delay than this is a dead relay, for which there is no need of a flag.
const (
	maxSpec   = 1000 // bytes
	maxSays   = 16
	maxSpan   = 10 * time.Minute
	minRate   = 1000 // bytes per second
	maxRate   = 10e9
	maxSaysAt = 1e9
)

// Parse reads a SPEC. Without a seed it takes one at random, which String tells. An error names the clause and what there
// may be in its place.
func Parse(text string) (*Spec, error) {
	if len(text) > maxSpec {
		return nil, fmt.Errorf("the SPEC has %d bytes, at most %d are taken", len(text), maxSpec)
	}
	s := &Spec{seed: rand.Uint64N(1 << 32)}
	given := map[string]bool{}
	for clause := range strings.SplitSeq(text, ",") {
		clause = strings.TrimSpace(clause)
		name, value, has := strings.Cut(clause, "=")
		w := wordOf(name)
		switch {
		case w == nil:
			return nil, fmt.Errorf("clause %q: there is no such word; there are %s", clip(clause), wordList())
		case given[name] && name != "control":
			return nil, fmt.Errorf("clause %q: %s stands there already", clip(clause), name)
		}
		given[name] = true
		if err := w.take(s, value, has); err != nil {
			return nil, fmt.Errorf("clause %q: %w; write it as %s", clip(clause), err, w.form)
		}
	}
	if s.jitter > s.delay {
		return nil, fmt.Errorf("clause delay: it may vary by no more than the delay itself, %v", s.delay)
	}
	return s, nil
}

func clip(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}

// String is the SPEC in its shortest form, with its seed: it parses to the same Spec.
func (s *Spec) String() string {
	var out []string
	for c, o := range s.odds {
		switch {
		case o.once:
			out = append(out, cheatWords[c])
		case o.p > 0:
			out = append(out, cheatWords[c]+"="+strconv.FormatFloat(o.p, 'g', -1, 64))
		}
	}
	switch {
	case s.jitter > 0:
		out = append(out, fmt.Sprintf("delay=%v±%v", s.delay, s.jitter))
	case s.delay > 0:
		out = append(out, fmt.Sprintf("delay=%v", s.delay))
	}
	if s.rate > 0 {
		out = append(out, "rate="+strconv.FormatFloat(s.rate, 'f', -1, 64)+"B/s")
	}
	if s.hold > 0 {
		out = append(out, fmt.Sprintf("hold=%v", s.hold))
	}
	for _, y := range s.says {
		out = append(out, fmt.Sprintf("control=%v@%d", y.code, y.at))
	}
	if s.to != 0 {
		out = append(out, "to="+s.to.String())
	}
	if s.on != onData {
		out = append(out, "on="+phaseWords[s.on])
	}
	return strings.Join(append(out, fmt.Sprintf("seed=%d", s.seed)), ",")
}
