package service

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"culvert/sbrp"
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

// sealedOffsets are where the bits of a sealed message are changed: all of its nonce, each 16th byte of what is
// encrypted, all of its tag.
func sealedOffsets() (offsets []int) {
	for i := range sbrp.NonceSize {
		offsets = append(offsets, sbrp.HeaderSize+i)
	}
	for i := range 16 {
		offsets = append(offsets, sbrp.HeaderSize+sbrp.NonceSize+16*i)
	}
	for i := range sbrp.TagSize {
		offsets = append(offsets, -1-i)
	}
	return offsets
}

// flipFirst changes a bit of the first Data frame of a session that goes to an end, at each of the offsets.
func (a *arena) flipFirst(to sbrp.Role) error {
	offsets := sealedOffsets()
	return a.every(len(offsets), to, sbrp.FrameData, func(i int, d sbrptest.Delivery) [][]byte {
		at := offsets[i]
		if at < 0 {
			at += len(d.Message)
		}
		return flip(d.Message, min(at, len(d.Message)-1))
	})
}

// liveThreats are a relay's, with what is sealed.
func liveThreats() []threat {
	const resumes = "what is refused ends that session; the next one takes the connection over"
	return []threat{
		{who: "relay", does: "flips a bit of the client's first sealed message (HELLO): nonce, ciphertext, tag", code: CodeRelay, name: "session_expired", then: "the daemon ends the session; tried again", act: func(a *arena) error { return a.flipFirst(sbrp.RoleDaemon) }},
		{who: "relay", does: "flips a bit of the daemon's first sealed message (WELCOME): nonce, ciphertext, tag", code: CodeRelay, name: "decrypt_failed", then: "tried again", act: func(a *arena) error { return a.flipFirst(sbrp.RoleClient) }},
		{who: "relay", does: "flips bits of header, nonce, ciphertext and tag while a connection is open", then: resumes, act: func(a *arena) error {
			for _, to := range []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon} {
				for _, at := range []int{0, 1, 4, 5, 12, 13, 16, 24, 25, 60} {
					err := a.meanwhile(func() {
						a.deliver(to, sbrp.FrameData, func(d sbrptest.Delivery) [][]byte { return flip(d.Message, min(at, len(d.Message)-1)) })
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
							return reframed(d, d.Frame.Payload[:min(size, len(d.Frame.Payload))])
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
							return [][]byte{sbrp.AppendFrame(nil, sbrp.FrameData, id, d.Frame.Payload), d.Message}
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
						a.cheat.ToClient(id, word(sbrp.CodeRateLimited, id))
					}
				}
			})
		}},
	}
}
