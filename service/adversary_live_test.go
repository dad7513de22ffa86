package service

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/chaos"
	"culvert/sbrp/sbrptest"
)

// data sets what becomes of Data frames; all others pass.
func (a *arena) data(f func(d sbrptest.Delivery) [][]byte) {
	a.cheat.Deliver(func(d sbrptest.Delivery) [][]byte {
		if d.Frame.Type != sbrp.FrameData {
			return [][]byte{d.Message}
		}
		return f(d)
	})
}

// spoilFirst does something to the first Data frame of a session that goes to an end, at each of its payload's bytes.
func (a *arena) spoilFirst(to sbrp.Role, spoil func(d sbrptest.Delivery, at int) [][]byte) error {
	size := 0
	a.deliver(to, sbrp.FrameData, func(d sbrptest.Delivery) [][]byte {
		size = len(d.Frame.Payload)
		return [][]byte{d.Message}
	})
	if err := a.attempt(); err != nil {
		return err
	}
	step := 1
	if testing.Short() {
		step = 16
	}
	return a.every((size+step-1)/step, to, sbrp.FrameData, func(i int, d sbrptest.Delivery) [][]byte {
		return spoil(d, min(i*step, len(d.Frame.Payload)-1)) // numbers in it may be shorter another time
	})
}

func flipAt(d sbrptest.Delivery, at int) [][]byte { return flip(d, sbrp.HeaderSize+at) }

func cutAt(d sbrptest.Delivery, at int) [][]byte { return [][]byte{chaos.Truncate(d.Frame, at)} }

// sealedOffsets are where bits of a sealed message are changed while a connection is open: all of its header and nonce, some
// of what is encrypted, and all of its tag, counted from the end.
func sealedOffsets() (offsets []int) {
	for i := range sbrp.HeaderSize + sbrp.NonceSize + 8 {
		offsets = append(offsets, i)
	}
	for i := range sbrp.TagSize {
		offsets = append(offsets, -1-i)
	}
	if testing.Short() {
		return []int{0, 1, 4, 5, 12, 13, 16, 24, 25, -16, -1}
	}
	return offsets
}

// liveThreats are a relay's, with what is sealed.
func liveThreats() []threat {
	const resumes = "what is refused ends that session; the next one takes the connection over"
	return []threat{
		{who: "relay", does: "flips a bit of the client's first sealed message (HELLO), each of its bytes in turn", code: CodeRelay, name: "session_expired", then: "the daemon ends the session; tried again", act: func(a *arena) error { return a.spoilFirst(sbrp.RoleDaemon, flipAt) }},
		{who: "relay", does: "flips a bit of the daemon's first sealed message (WELCOME), each of its bytes in turn", code: CodeRelay, name: "decrypt_failed", then: "tried again", act: func(a *arena) error { return a.spoilFirst(sbrp.RoleClient, flipAt) }},
		{who: "relay", does: "cuts HELLO short, at each of its bytes", code: CodeRelay, name: "session_expired", then: "the daemon ends the session; tried again", act: func(a *arena) error { return a.spoilFirst(sbrp.RoleDaemon, cutAt) }},
		{who: "relay", does: "cuts WELCOME short, at each of its bytes", code: CodeRelay, name: "decrypt_failed", then: "tried again", act: func(a *arena) error { return a.spoilFirst(sbrp.RoleClient, cutAt) }},
		{who: "relay", does: "flips bits of a sealed message while a connection is open: each byte of header, nonce and tag, some of the ciphertext", then: resumes, act: func(a *arena) error {
			for _, to := range []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon} {
				for _, at := range sealedOffsets() {
					err := a.meanwhile(func() {
						a.deliver(to, sbrp.FrameData, func(d sbrptest.Delivery) [][]byte {
							return flip(d, min((len(d.Message)+at)%len(d.Message), len(d.Message)-1))
						})
					})
					if err != nil {
						return fmt.Errorf("offset %d to %v: %w", at, to, err)
					}
				}
			}
			return nil
		}},
		{who: "relay", does: "cuts sealed messages short while a connection is open", then: resumes, act: func(a *arena) error {
			for _, to := range []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon} {
				for _, size := range []int{0, 1, 11, 12, 27, 28, 29, 60} {
					err := a.meanwhile(func() {
						a.deliver(to, sbrp.FrameData, func(d sbrptest.Delivery) [][]byte {
							return [][]byte{chaos.Truncate(d.Frame, size)}
						})
					})
					if err != nil {
						return fmt.Errorf("%d bytes to %v: %w", size, to, err)
					}
				}
			}
			return nil
		}},
		{who: "relay", does: "delivers every sealed message twice, and all earlier ones of the session again", then: "replays are dropped", act: func(a *arena) error {
			var mu sync.Mutex
			old := map[sbrp.Role][][]byte{}
			a.data(func(d sbrptest.Delivery) [][]byte {
				mu.Lock()
				defer mu.Unlock()
				old[d.To] = append(old[d.To], d.Message)
				return append([][]byte{d.Message}, old[d.To]...)
			})
			return a.meanwhile(func() {})
		}},
		{who: "relay", does: "replays the sealed messages of an earlier session in a new one, both ways", then: resumes, act: func(a *arena) error {
			var mu sync.Mutex
			old := map[sbrp.Role][][]byte{}
			a.data(func(d sbrptest.Delivery) [][]byte {
				mu.Lock()
				defer mu.Unlock()
				old[d.To] = append(old[d.To], d.Frame.Payload)
				return [][]byte{d.Message}
			})
			if err := a.attempt(); err != nil {
				return err
			}
			a.cheat.Deliver(nil)
			return a.meanwhile(func() {
				for _, id := range a.cheat.Sessions() {
					for _, p := range old[sbrp.RoleDaemon] {
						a.cheat.ToDaemon(a.daemonID, sbrp.AppendFrame(nil, sbrp.FrameData, id, p))
					}
					for _, p := range old[sbrp.RoleClient] {
						a.cheat.ToClient(id, sbrp.AppendFrame(nil, sbrp.FrameData, id, p))
					}
				}
			})
		}},
		{who: "relay", does: "delivers sealed messages in another order", then: "every byte in its order all the same", act: func(a *arena) error {
			var mu sync.Mutex
			held := map[sbrp.Role][]byte{}
			return a.meanwhile(func() {
				a.data(func(d sbrptest.Delivery) [][]byte {
					mu.Lock()
					defer mu.Unlock()
					if h := held[d.To]; h != nil {
						delete(held, d.To)
						return [][]byte{d.Message, h}
					}
					held[d.To] = d.Message
					return nil
				})
			})
		}},
		{who: "relay", does: "drops a fifth of all sealed messages, at random", then: "sent again", act: func(a *arena) error {
			return a.meanwhile(func() {
				a.data(func(d sbrptest.Delivery) [][]byte {
					if rand.IntN(5) == 0 {
						return nil
					}
					return [][]byte{d.Message}
				})
			})
		}},
		{who: "relay", does: "holds everything back and releases it later, newest first", then: "late, and every byte in its order", act: func(a *arena) error {
			var mu sync.Mutex
			var held []sbrptest.Delivery
			open := false
			release := time.AfterFunc(300*time.Millisecond, func() {
				mu.Lock()
				defer mu.Unlock()
				open = true
				for i := len(held) - 1; i >= 0; i-- {
					if d := held[i]; d.To == sbrp.RoleDaemon {
						a.cheat.ToDaemon(a.daemonID, d.Message)
					} else {
						a.cheat.ToClient(d.SessionID, d.Message)
					}
				}
			})
			defer release.Stop()
			return a.meanwhile(func() {
				a.data(func(d sbrptest.Delivery) [][]byte {
					mu.Lock()
					defer mu.Unlock()
					if open {
						return [][]byte{d.Message}
					}
					held = append(held, d)
					return nil
				})
			})
		}},
		{who: "relay", does: "sends sealed messages back to who sealed them, client and daemon", then: resumes, act: func(a *arena) error {
			for _, to := range []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon} {
				err := a.meanwhile(func() {
					a.deliver(to, sbrp.FrameData, func(d sbrptest.Delivery) [][]byte {
						if to == sbrp.RoleDaemon {
							a.cheat.ToClient(d.SessionID, d.Message)
						} else {
							a.cheat.ToDaemon(a.daemonID, d.Message)
						}
						return [][]byte{d.Message}
					})
				})
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{who: "relay", does: "delivers the sealed messages of one session in another, both of the same client", then: resumes, act: func(a *arena) error {
			other, err := a.open(DialerOptions{})
			if err != nil {
				return err
			}
			ids := a.cheat.Sessions()
			err = a.meanwhile(func() {
				a.deliver(sbrp.RoleDaemon, sbrp.FrameData, func(d sbrptest.Delivery) [][]byte {
					for _, id := range append(ids, a.cheat.Sessions()...) {
						if id != d.SessionID {
							return [][]byte{chaos.Redirect(d.Frame, id), d.Message}
						}
					}
					a.t.Error("there is no other session")
					return [][]byte{d.Message}
				})
			})
			if err != nil {
				return err
			}
			if err := other.talk(); err != nil {
				return fmt.Errorf("the other one: %w", err)
			}
			return other.end()
		}},
		{who: "relay", does: "makes up sealed messages, and frames of every type there is and is not", then: resumes, act: func(a *arena) error {
			for typ := range 0x23 {
				err := a.meanwhile(func() {
					payload := binary.BigEndian.AppendUint64(make([]byte, 56), rand.Uint64())
					for _, id := range append(a.cheat.Sessions(), 0) {
						msg := sbrp.AppendFrame(nil, sbrp.FrameType(typ), id, payload)
						a.cheat.ToClient(id, msg)
						a.cheat.ToDaemon(a.daemonID, msg)
					}
				})
				if err != nil {
					return fmt.Errorf("type %#x: %w", typ, err)
				}
			}
			return nil
		}},
		{who: "relay", does: "sends what is no frame: nothing, a byte, 64 KiB of zeros", then: resumes, act: func(a *arena) error {
			for _, junk := range [][]byte{{}, {0}, bytes.Repeat([]byte{0}, sbrp.MaxFrame), {3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1}} {
				err := a.meanwhile(func() {
					for _, id := range a.cheat.Sessions() {
						a.cheat.ToClient(id, junk)
					}
					a.cheat.ToDaemon(a.daemonID, junk)
				})
				if err != nil {
					return fmt.Errorf("%d bytes: %w", len(junk), err)
				}
			}
			return nil
		}},
		{who: "relay", does: "cuts every connection", then: "held, and resumed in a new session", act: func(a *arena) error {
			return a.meanwhile(a.cheat.Cut)
		}},
		{who: "relay", does: "says rate_limited a thousand times", then: "slower for a while", act: func(a *arena) error {
			return a.meanwhile(func() {
				for _, id := range a.cheat.Sessions() {
					for range 1000 {
						a.cheat.ToClient(id, chaos.Say(sbrp.CodeRateLimited, id))
					}
				}
			})
		}},
	}
}
