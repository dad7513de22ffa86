package chaos

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"culvert/sbrp"
)

// word is one of a SPEC's: how it is written, what it does, and how its value is read.
type word struct {
	name, form, does string
	take             func(s *Spec, value string, has bool) error
}

// theWords are all words, in the order in which people read of them.
var theWords = []word{
	{"drop", "drop[=P]", "loses it", odd(drop)},
	{"delay", "delay=D[±D], such as 200ms±50ms (or 200ms+-50ms)", "is late with everything, in order", takeDelay},
	{"rate", "rate=SIZE/s, such as 1MB/s", "passes no more than that to each endpoint", takeRate},
	{"reorder", "reorder[=P]", "delivers it after the one that follows", odd(reorder)},
	{"replay", "replay[=P]", "delivers it twice, and an earlier one of its session again", odd(replay)},
	{"hold", "hold=D, such as 5s", "once in each session: holds everything back for so long, and delivers it newest first", takeHold},
	{"cut", "cut[=P]", "ends the WebSocket that it has gone to", odd(cut)},
	{"flip", "flip[=P]", "changes a bit of its payload", odd(flip)},
	{"truncate", "truncate[=P]", "cuts its payload short", odd(truncate)},
	{"forge", "forge[=P]", "delivers one before it that nobody has sealed", odd(forge)},
	{"reflect", "reflect[=P]", "delivers it to who has sent it as well", odd(reflectBack)},
	{"swap-session", "swap-session[=P]", "delivers it in another session of the daemon first, if there is one", odd(swapSession)},
	{"swap-identity", "swap-identity[=P]", "answers the client in the daemon's place, with an identity of its own", odd(swapIdentity)},
	{"swap-ephemeral", "swap-ephemeral[=P]", "puts an ephemeral key of its own into the handshake", odd(swapEphemeral)},
	{"strip", "strip[=P]", "takes the daemon's identity key out of the handshake", odd(strip)},
	{"control", "control=CODE[@N], such as session_expired@3 or 0x0301@0", "says a code that is a lie, before the N-th message of a session (1), or before its handshake (0)", takeControl},
	{"to", "to=client|daemon", "cheats only with messages to that end", takeTo},
	{"on", "on=data|handshake|all", "cheats with sealed messages (data), with the handshake's, or with both", takeOn},
	{"seed", "seed=N", "the same messages meet the same again", takeSeed},
}

// wordOf finds a word; nil: there is none of that name.
func wordOf(name string) *word {
	for i := range theWords {
		if theWords[i].name == name {
			return &theWords[i]
		}
	}
	return nil
}

func wordList() string {
	names := make([]string, 0, len(theWords))
	for _, w := range theWords {
		names = append(names, w.name)
	}
	return strings.Join(names, ", ")
}

// Usage explains a SPEC to people.
func Usage() string {
	var b strings.Builder
	b.WriteString(`A SPEC is clauses with commas between them, such as drop=0.05,delay=200ms±50ms,seed=7.
P is a probability for each message; without it, it is done once in each session, each way.
"It" is a message between daemon and client, sealed if on= does not say otherwise.

`)
	for _, w := range theWords {
		form, _, _ := strings.Cut(w.form, ", such as")
		fmt.Fprintf(&b, "  %-22s %s\n", form, w.does)
	}
	return b.String()
}

// odd reads how often a cheat is done.
func odd(c cheat) func(*Spec, string, bool) error {
	return func(s *Spec, value string, has bool) error {
		if !has {
			s.odds[c] = odds{once: true}
			return nil
		}
		p, err := strconv.ParseFloat(value, 64)
		if err != nil || !(p > 0 && p <= 1) { // NaN is neither
			return errors.New("a probability is above 0 and up to 1")
		}
		s.odds[c] = odds{p: p}
		return nil
	}
}

func parseSpan(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxSpan {
		return 0, fmt.Errorf("a time is above 0 and up to %v, with its unit", maxSpan)
	}
	return d, nil
}

func takeDelay(s *Spec, value string, _ bool) (err error) {
	mean, jitter, varies := strings.Cut(strings.Replace(value, "+-", "±", 1), "±")
	if s.delay, err = parseSpan(mean); err == nil && varies {
		s.jitter, err = parseSpan(jitter)
	}
	return err
}

func takeHold(s *Spec, value string, _ bool) (err error) {
	s.hold, err = parseSpan(value)
	return err
}

// sizes are from the longest to the shortest: "MB" ends in "B" too.
var sizes = []struct {
	unit  string
	bytes float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

func takeRate(s *Spec, value string, _ bool) error {
	text, perSecond := strings.CutSuffix(value, "/s")
	for _, u := range sizes {
		number, ok := strings.CutSuffix(text, u.unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if n *= u.bytes; err == nil && perSecond && n >= minRate && n <= maxRate {
			s.rate = n
			return nil
		}
		break
	}
	return fmt.Errorf("a rate is a number of B, kB, MB, GB, KiB or MiB a second, from %d B/s to 10 GB/s", minRate)
}

func takeControl(s *Spec, value string, _ bool) error {
	name, count, counted := strings.Cut(value, "@")
	y := saying{at: 1}
	switch code, err := parseCode(name); {
	case err != nil:
		return err
	case len(s.says) == maxSays:
		return fmt.Errorf("at most %d codes can be said", maxSays)
	default:
		y.code = code
	}
	if counted {
		n, err := strconv.ParseUint(count, 10, 32)
		if err != nil || n > maxSaysAt {
			return fmt.Errorf("the number N is from 0 to %d", int(maxSaysAt))
		}
		y.at = int(n)
	}
	s.says = append(s.says, y)
	return nil
}

// codes are those that have names, the endpoints' own too: a relay may well say those.
var codes = sync.OnceValue(func() (all []sbrp.Code) {
	for c := range sbrp.Code(0xffff) {
		if c.Known() || c.Local() {
			all = append(all, c)
		}
	}
	return all
})

// parseCode reads a code's name, or its number as 0x and four digits.
func parseCode(text string) (sbrp.Code, error) {
	names := make([]string, 0, len(codes()))
	for _, c := range codes() {
		if c.String() == text {
			return c, nil
		}
		names = append(names, c.String())
	}
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && len(hex) == 4 {
			return sbrp.Code(n), nil
		}
	}
	return 0, fmt.Errorf("a CODE is a number of four hexadecimal digits, or one of %s", strings.Join(names, ", "))
}

func takeTo(s *Spec, value string, _ bool) error {
	for _, r := range []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon} {
		if value == r.String() {
			s.to = r
			return nil
		}
	}
	return errors.New("there are two ends")
}

func takeOn(s *Spec, value string, _ bool) error {
	i := slices.Index(phaseWords[:], value)
	if i < 0 {
		return errors.New("there are no other messages")
	}
	s.on = phase(i)
	return nil
}

func takeSeed(s *Spec, value string, _ bool) error {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return errors.New("the number N is from 0 on")
	}
	s.seed = n
	return nil
}
