package chaos

import (
	"math/rand/v2"
	"slices"

	"culvert/sbrp"
)

const (
	onceWithin = 8  // what is done once is done with one of so many first messages, after the first
	kept       = 8  // messages of a stream that can be replayed
	forged     = 80 // bytes of a made-up sealed message
)

// stream is one session's messages to one end. It decides what befalls each, by the seed and by what came before: the same
// messages meet the same. One goroutine at a time.
type stream struct {
	spec   *Spec
	random *rand.Rand
	when   [cheats]int // the message, from 1, that meets what is done once
	n      int         // sealed messages so far
	shook  int         // handshake messages so far
	past   [][]byte    // the last ones
	stash  []byte      // the one that waits for the next; nil: none
}

// newStream begins the messages of the n-th session to an end.
func newStream(s *Spec, nth int, to sbrp.Role) *stream {
	t := &stream{spec: s, random: rand.New(rand.NewPCG(s.seed, uint64(nth)<<8|uint64(to)))}
	for c := range t.when {
		t.when[c] = 2 + t.random.IntN(onceWithin)
	}
	return t
}

// fate is what becomes of a message.
type fate struct {
	before [][]byte // delivered first
	other  bool     // deliver it in another session before that
	out    [][]byte // in its place
	back   bool     // deliver it to who has sent it, too
	pose   bool     // answer in the daemon's place, and deliver nothing
	cut    bool     // end the WebSocket after that
}

// meet decides on a message that is on its way to the stream's end.
func (t *stream) meet(d Delivery) fate {
	sealed := d.Frame.Type == sbrp.FrameData
	shakes := d.Frame.Type == sbrp.FrameHandshakeInit || d.Frame.Type == sbrp.FrameHandshakeAccept
	if !sealed && !shakes || t.spec.to != 0 && t.spec.to != d.To {
		return fate{out: [][]byte{d.Message}}
	}
	at := 0
	if sealed {
		t.n++
		at = t.n
	} else {
		t.shook++
	}
	does := t.roll(sealed, max(at, 1))
	var f fate
	for _, y := range t.spec.says {
		if y.at == at {
			f.before = append(f.before, Say(y.code, d.SessionID))
		}
	}
	if does[forge] {
		f.before = append(f.before, sbrp.AppendFrame(nil, sbrp.FrameData, d.SessionID, t.bytes(forged)))
	}
	msg := t.spoil(d.Frame, &does)
	f.pose = does[swapIdentity] && d.Frame.Type == sbrp.FrameHandshakeInit
	f.other, f.back, f.cut = does[swapSession], does[reflectBack], does[cut]
	if does[drop] || f.pose {
		return f
	}
	f.out = t.arrange(msg, &does)
	return f
}

// roll decides which cheats a message meets. It takes the same numbers from the seed whatever is decided.
func (t *stream) roll(sealed bool, at int) (does [cheats]bool) {
	for c := range cheats {
		u, o := t.random.Float64(), t.spec.odds[c]
		fits := c.fits(sealed, t.spec.on)
		switch {
		case !fits:
		case o.once && sealed:
			does[c] = at == t.when[c]
		case o.once:
			does[c] = t.shook == 1
		default:
			does[c] = u < o.p
		}
	}
	return does
}

// spoil changes the message itself.
func (t *stream) spoil(f sbrp.Frame, does *[cheats]bool) []byte {
	bit, size, key := t.random.Uint32(), t.random.Uint32(), t.bytes(sbrp.InitSize)
	msg := Reframe(f, f.Payload)
	again := func(b []byte) { // the next cheat is with what this one has made
		msg = b
		f, _ = sbrp.ParseFrame(b) // it has been made of a good one
	}
	if does[strip] {
		again(Strip(f))
	}
	if does[swapEphemeral] {
		again(SwapEphemeral(f, [sbrp.InitSize]byte(key)))
	}
	if does[truncate] && len(f.Payload) > 0 {
		again(Truncate(f, int(size)%len(f.Payload)))
	}
	if does[flip] && len(f.Payload) > 0 {
		again(Flip(msg, 8*sbrp.HeaderSize+int(bit)%(8*len(f.Payload))))
	}
	return msg
}

// arrange says what is delivered now: the message, what has waited for it, what is repeated, or nothing.
func (t *stream) arrange(msg []byte, does *[cheats]bool) (out [][]byte) {
	earlier := t.random.Uint32()
	out = [][]byte{msg}
	if does[replay] {
		out = append(out, msg)
		if len(t.past) > 0 {
			out = append(out, t.past[int(earlier)%len(t.past)])
		}
	}
	if t.past = append(t.past, msg); len(t.past) > kept {
		t.past = slices.Delete(t.past, 0, 1)
	}
	if t.stash != nil {
		out = append(out, t.stash)
		t.stash = nil
		return out
	}
	if does[reorder] {
		t.stash = msg
		return out[1:]
	}
	return out
}

func (t *stream) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(t.random.Uint32())
	}
	return b
}
