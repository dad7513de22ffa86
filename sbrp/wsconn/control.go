package wsconn

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
)

// Frame bytes of RFC 6455, section 5.2, for the two frames that this package writes by itself.
const (
	finPing    = 0x80 | 0x9
	finPong    = 0x80 | 0xA
	maskBit    = 0x80
	maxControl = 125 // bytes of payload
)

// controlSlots holds at most one unsent pong and one unsent ping. A second ping of the peer overwrites the first's
// answer, as RFC 6455, section 5.5.3 allows: a flood of pings costs nothing.
type controlSlots struct {
	wanted atomic.Bool // something may be in the slots; looked at after each message, without a lock

	mu      sync.Mutex // guards what follows; taken inside outlet.mu
	sending bool       // somebody is writing what was in the slots, and will look again
	hasPing bool
	hasPong bool
	pong    [maxControl]byte
	pongLen int
}

// setPong stores the answer to a ping.
func (o *outlet) setPong(payload []byte) {
	c := &o.control
	c.mu.Lock()
	c.pongLen = copy(c.pong[:], payload)
	c.hasPong = true
	c.mu.Unlock()
	c.wanted.Store(true)
	o.sendControl()
}

// setPing asks for a ping. Whoever wants to know whether it was answered looks at lastReceive.
func (o *outlet) setPing() {
	c := &o.control
	c.mu.Lock()
	c.hasPing = true
	c.mu.Unlock()
	c.wanted.Store(true)
	o.sendControl()
}

// sendControl writes what is in the slots, unless a message is being written: its end will. It does not wait for the peer
// where the socket can do without that.
func (o *outlet) sendControl() {
	for o.control.wanted.Load() {
		frame := o.takeControl()
		if len(frame) == 0 {
			return
		}
		_, err := o.pass(frame, nil, true)
		o.control.mu.Lock()
		o.control.sending = false
		o.control.mu.Unlock()
		if err != nil {
			o.fail()
			return
		}
	}
}

// takeControl empties the slots into frames, or returns nothing because somebody else will.
func (o *outlet) takeControl() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &o.control
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.writing || c.sending {
		return nil
	}
	var b []byte
	if c.hasPong {
		b = o.appendControl(b, finPong, c.pong[:c.pongLen])
	}
	if c.hasPing {
		b = o.appendControl(b, finPing, nil)
	}
	c.hasPong, c.hasPing, c.sending = false, false, len(b) > 0
	c.wanted.Store(false)
	return b
}

func (o *outlet) appendControl(b []byte, first byte, payload []byte) []byte {
	if !o.client {
		return append(append(b, first, byte(len(payload))), payload...)
	}
	var key [4]byte
	_, _ = rand.Read(key[:]) // never fails
	b = append(append(b, first, maskBit|byte(len(payload))), key[:]...)
	for i, x := range payload {
		b = append(b, x^key[i%4])
	}
	return b
}
