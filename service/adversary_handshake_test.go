package service

import (
	"bytes"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/chaos"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/sbrptest"
)

// flip changes a bit of the byte at an offset of a message, another one at each offset.
func flip(d sbrptest.Delivery, offset int) [][]byte {
	return [][]byte{chaos.Flip(d.Message, 8*offset+offset%8)}
}

// handshakeThreats are a relay's, while client and daemon agree on keys.
func handshakeThreats() []threat {
	const (
		forged  = "handshake_failed"
		changed = "identity_key_changed"
		refused = "the daemon's signature does not hold; nothing is sent"
		other   = "not the pinned key; both fingerprints are shown, nothing is sent, nothing is retried"
	)
	init, accept := sbrp.FrameHandshakeInit, sbrp.FrameHandshakeAccept
	return []threat{
		{who: "relay", does: "forwards faithfully, and reads", then: "sees sizes and times", act: func(a *arena) error { return a.meanwhile(func() {}) }},
		{who: "relay", does: "flips a bit of HandshakeInit, each of its bytes in turn", code: CodeIdentity, name: forged, then: refused, act: func(a *arena) error {
			return a.every(sbrp.InitSize, sbrp.RoleDaemon, init, func(i int, d sbrptest.Delivery) [][]byte { return flip(d, sbrp.HeaderSize+i) })
		}},
		{who: "relay", does: "flips a bit of the identity key in HandshakeAccept, each of its bytes in turn", code: CodeIdentity, name: changed, then: other, act: func(a *arena) error {
			return a.every(chaos.AcceptEphemeral, sbrp.RoleClient, accept, func(i int, d sbrptest.Delivery) [][]byte { return flip(d, sbrp.HeaderSize+i) })
		}},
		{who: "relay", does: "flips a bit of ephemeral key or signature in HandshakeAccept, each byte in turn", code: CodeIdentity, name: forged, then: refused, act: func(a *arena) error {
			return a.every(sbrp.AcceptSize-chaos.AcceptEphemeral, sbrp.RoleClient, accept, func(i int, d sbrptest.Delivery) [][]byte {
				return flip(d, sbrp.HeaderSize+chaos.AcceptEphemeral+i)
			})
		}},
		{who: "relay", does: "cuts HandshakeAccept short, at each of its bytes", code: CodeRelay, name: "malformed_frame", then: "no frame at all; tried again", act: func(a *arena) error {
			return a.every(sbrp.HeaderSize+sbrp.AcceptSize, sbrp.RoleClient, accept, func(i int, d sbrptest.Delivery) [][]byte { return [][]byte{d.Message[:i]} })
		}},
		{who: "relay", does: "leaves out fields of HandshakeAccept (0, 32, 64, 95, 97, 127, 129 bytes)", code: CodeRelay, name: "malformed_frame", then: "not a size that the protocol has; tried again", act: func(a *arena) error {
			sizes := []int{0, 32, 64, 95, 97, 127, 129}
			return a.every(len(sizes), sbrp.RoleClient, accept, func(i int, d sbrptest.Delivery) [][]byte {
				return [][]byte{chaos.Reframe(d.Frame, append(bytes.Clone(d.Frame.Payload), 0)[:sizes[i]])}
			})
		}},
		{who: "relay", does: "strips the identity key (the 96-byte HandshakeAccept of an older draft)", then: "the signature is checked with the pin in any case: nothing is weaker", act: func(a *arena) error {
			a.deliver(sbrp.RoleClient, accept, func(d sbrptest.Delivery) [][]byte { return [][]byte{chaos.Strip(d.Frame)} })
			return a.attempt()
		}},
		{who: "relay", does: "answers in the daemon's place, with an identity of its own", code: CodeIdentity, name: changed, then: other, act: func(a *arena) error {
			return a.posing(func(own []byte) []byte { return own })
		}},
		{who: "relay", does: "answers in the daemon's place and strips its own identity (96 bytes)", code: CodeIdentity, name: forged, then: refused, act: func(a *arena) error {
			return a.posing(func(own []byte) []byte { return own[chaos.AcceptEphemeral:] })
		}},
		{who: "relay", does: "answers in the daemon's place, under the daemon's identity key", code: CodeIdentity, name: forged, then: refused, act: func(a *arena) error {
			key := pinned(a.t, a.world, "client", "daemon").Key
			return a.posing(func(own []byte) []byte { return append(key[:], own[chaos.AcceptEphemeral:]...) })
		}},
		{who: "relay", does: "puts its own ephemeral key into the daemon's HandshakeAccept", code: CodeIdentity, name: forged, then: refused, act: func(a *arena) error {
			own := e2ee.NewInitiator("x", e2ee.GenerateIdentity().PublicKey()).Init()
			return a.every(1, sbrp.RoleClient, accept, func(_ int, d sbrptest.Delivery) [][]byte {
				return [][]byte{chaos.SwapEphemeral(d.Frame, own)}
			})
		}},
		{who: "relay", does: "puts an ephemeral key of small order into HandshakeAccept", code: CodeIdentity, name: forged, then: refused, act: func(a *arena) error {
			return a.every(1, sbrp.RoleClient, accept, func(_ int, d sbrptest.Delivery) [][]byte {
				return [][]byte{chaos.SwapEphemeral(d.Frame, [sbrp.InitSize]byte{})}
			})
		}},
		{who: "relay", does: "puts its own ephemeral key into HandshakeInit", code: CodeIdentity, name: forged, then: refused, act: func(a *arena) error {
			own := e2ee.NewInitiator("x", e2ee.GenerateIdentity().PublicKey()).Init()
			return a.every(1, sbrp.RoleDaemon, init, func(_ int, d sbrptest.Delivery) [][]byte { return [][]byte{chaos.SwapEphemeral(d.Frame, own)} })
		}},
		{who: "relay", does: "replays the HandshakeAccept of an earlier session", code: CodeIdentity, name: forged, then: refused, act: func(a *arena) error {
			var old []byte
			a.deliver(sbrp.RoleClient, accept, func(d sbrptest.Delivery) [][]byte {
				old = bytes.Clone(d.Frame.Payload)
				return [][]byte{d.Message}
			})
			if err := a.attempt(); err != nil {
				return err
			}
			return a.every(1, sbrp.RoleClient, accept, func(_ int, d sbrptest.Delivery) [][]byte { return [][]byte{chaos.Reframe(d.Frame, old)} })
		}},
		{who: "relay", does: "sends HandshakeInit back as HandshakeAccept", code: CodeRelay, name: "malformed_frame", then: "not a size that the protocol has; tried again", act: func(a *arena) error {
			var init []byte
			var id sbrp.SessionID
			a.deliver(sbrp.RoleDaemon, sbrp.FrameHandshakeInit, func(d sbrptest.Delivery) [][]byte {
				init, id = bytes.Clone(d.Frame.Payload), d.SessionID
				a.cheat.ToClient(id, sbrp.AppendFrame(nil, accept, id, init))
				return nil
			})
			return a.attempt()
		}},
		{who: "relay", does: "keeps HandshakeAccept back", code: CodeRelay, name: "timeout", then: "nothing is sent before it; tried again", act: func(a *arena) error {
			a.deliver(sbrp.RoleClient, accept, func(sbrptest.Delivery) [][]byte { return nil })
			return a.call(DialerOptions{Once: true, Timeout: 200 * time.Millisecond})
		}},
		{who: "relay", does: "delivers HandshakeInit twice, and once more in the running session", then: "a running session is not touched", act: func(a *arena) error {
			var init []byte
			a.deliver(sbrp.RoleDaemon, sbrp.FrameHandshakeInit, func(d sbrptest.Delivery) [][]byte {
				init = d.Message
				return [][]byte{d.Message, d.Message}
			})
			return a.meanwhile(func() { a.cheat.ToDaemon(a.daemonID, init) })
		}},
	}
}

// posing has the relay answer in the daemon's place, with what change makes of its own HandshakeAccept.
func (a *arena) posing(change func(own []byte) []byte) error {
	relay := e2ee.GenerateIdentity()
	a.deliver(sbrp.RoleDaemon, sbrp.FrameHandshakeInit, func(d sbrptest.Delivery) [][]byte {
		own, err := chaos.Pose(relay, a.daemonID, d.Frame.Payload)
		if err != nil {
			a.t.Error(err)
			return nil
		}
		a.cheat.ToClient(d.SessionID, sbrp.AppendFrame(nil, sbrp.FrameHandshakeAccept, d.SessionID, change(own)))
		return nil
	})
	return a.attempt()
}
