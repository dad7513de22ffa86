package endpoint_test

import (
	"bytes"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/relay"
	"culvert/sbrp/sbrptest"
)

// wireCases are sections 1 and 2 at the endpoints.
func wireCases(s *sbrptest.Suite) {
	s.Case("1.1", "client", "five sessions", real(newKeyEachTime))
	s.Case("1.2", "daemon", "five sessions", real(daemonKeys))
	s.Case("1.3", "client", "one session", real(oneWebSocket))
	s.Case("1.4", "daemon", "20 sessions, cut and resumed", manySessions)
	s.Case("1.4", "daemon", "three sessions at the real relay", real(sharedWebSocket))
	s.Case("2.1", "client", "200 messages", real(func(t *testing.T, g *genuine) { burst(g, sbrp.RoleClient) }))
	s.Case("2.1", "daemon", "200 messages", real(func(t *testing.T, g *genuine) { burst(g, sbrp.RoleDaemon) }))
	s.Case("2.2", "client", "bytes of HandshakeInit", real(initBytes))
	s.Case("2.2", "daemon", "bytes of HandshakeAccept", real(acceptBytes))
	s.Case("2.3", "client", "65,508 bytes of plaintext", real(func(t *testing.T, g *genuine) { fullPlaintext(g.dial()) }))
	s.Case("2.4", "client", "relay sends text", textToClient)
	s.Case("2.4", "daemon", "relay sends text", textToDaemon)
	s.Case("2.5", "daemon", "HandshakeInit of 0, 31, 33 and 65,536 bytes", real(wrongInits))
	s.Case("2.6", "daemon", "both settings", layouts)
	s.Case("2.7", "client", "128 and 96 bytes", real(goodAccepts))
	s.Case("2.7", "client", "other sizes", real(wrongAccepts))
	s.Case("2.8", "client", "full and short Data", real(fullData))
	s.Case("2.8", "daemon", "27 bytes", shortData)
	s.Case("2.11", "daemon", "Signal(ready)", pendingAtDaemon)
	s.Case("2.12", "client", "0 to 8 bytes", func(t *testing.T) { pongs(t, sbrp.RoleClient) })
	s.Case("2.12", "daemon", "0 to 8 bytes", func(t *testing.T) { pongs(t, sbrp.RoleDaemon) })
	s.Case("2.13", "client", "0 and 1 bytes", func(t *testing.T) { shortControls(t, sbrp.RoleClient) })
	s.Case("2.13", "daemon", "0 and 1 bytes", func(t *testing.T) { shortControls(t, sbrp.RoleDaemon) })
	s.Case("2.24", "decoder", "every split in two, and byte by byte", splits)
}

// real makes a case of something that wants the project's own relay and a daemon on it.
func real(f func(t *testing.T, g *genuine)) func(*testing.T) {
	return func(t *testing.T) { f(t, startGenuine(t, relay.Config{})) }
}

func newKeyEachTime(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	seen := map[string]bool{}
	for range 5 {
		result := d.dial(nil)
		id, _, init := d.accept(answer{})
		seen[string(init)] = true
		_ = (<-result).s.Close("")
		d.wantControl(sbrp.CodeSessionEnded, id)
	}
	if len(seen) != 5 {
		t.Errorf("%d ephemeral keys in 5 sessions", len(seen))
	}
}

func daemonKeys(t *testing.T, g *genuine) {
	identity := g.identity.PublicKey()
	seen := map[string]bool{}
	for range 5 {
		c := g.rawClient()
		if !bytes.Equal(c.accept[:32], identity[:]) {
			t.Errorf("identity key % x, want % x", c.accept[:32], identity)
		}
		seen[string(c.accept[32:64])] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d ephemeral keys in 5 sessions", len(seen))
	}
}

func oneWebSocket(t *testing.T, g *genuine) {
	x := g.dial()
	x.talk("one")
	if n := g.handler.Load().Stats(); n.Clients != 1 || n.Daemons != 1 {
		t.Errorf("got %+v", n)
	}
	_ = x.client.Close("")
	g.until("the client to go", func() bool { return g.handler.Load().Stats().Clients == 0 })
}

func sharedWebSocket(t *testing.T, g *genuine) {
	all := []*ends{g.dial(), g.dial(), g.dial()}
	for i, x := range all {
		x.talk(numbered(i))
	}
	if n := g.handler.Load().Stats(); n.Daemons != 1 || n.Paired != 3 {
		t.Errorf("got %+v", n)
	}
}

// burst has the end under test send many messages at once; the raw end's reader refuses what is not exactly one frame.
func burst(g *genuine, from sbrp.Role) {
	const n = 200
	var raw *peer
	var key []byte
	var send func(string)
	direction := uint32(1)
	if from == sbrp.RoleClient {
		d := g.rawDaemon()
		c, _, keys := d.session(answer{})
		raw, key, send = d.peer, keys.up, c.send
	} else {
		c := g.rawClient()
		x := pump(g.t, <-g.accepted)
		raw, key, send, direction = c.peer, c.keys.down, x.send, 2
	}
	for i := range n {
		send(numbered(i))
	}
	for i := range n {
		if got := unseal(g.t, key, direction, uint64(i), raw.want(sbrp.FrameData).Payload); got != numbered(i) {
			g.t.Fatalf("message %d is %q", i, got)
		}
	}
}

func initBytes(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	const id = 0x0102030405060708
	result := d.dial(func(c *endpoint.ClientConfig) {
		c.Token, c.HandshakeTimeout = sbrptest.ClientToken(d.id, id), time.Minute
	})
	b := <-d.got
	want := []byte{0x01, 0, 0, 0, 32, 1, 2, 3, 4, 5, 6, 7, 8}
	if len(b) != 45 || !bytes.Equal(b[:13], want) {
		t.Errorf("HandshakeInit is % x, want 45 bytes that begin with % x", b, want)
	}
	d.send(sbrp.FrameSignal, id, []byte{1, 0})
	<-result
}

func acceptBytes(t *testing.T, g *genuine) {
	const id = 0x0102030405060708
	c := g.peer(sbrptest.ClientToken(daemonID, id))
	c.send(sbrp.FrameHandshakeInit, id, newEphemeral(t).PublicKey().Bytes())
	b := <-c.got
	want := []byte{0x02, 0, 0, 0, 128, 1, 2, 3, 4, 5, 6, 7, 8}
	if len(b) != 141 || !bytes.Equal(b[:13], want) {
		t.Errorf("HandshakeAccept is % x, want 141 bytes that begin with % x", b, want)
	}
}

func fullPlaintext(x *ends) {
	text := string(bytes.Repeat([]byte("b"), sbrp.MaxPlaintext))
	x.client.send(text)
	x.daemon.want(text)
	x.daemon.send(text)
	x.client.want(text)
}

// wrongInits: each is refused with the end of its session, and the daemon goes on.
func wrongInits(t *testing.T, g *genuine) {
	for _, size := range []int{0, 31, 33, 65536} {
		id := sbrp.NewSessionID()
		c := g.peer(sbrptest.ClientToken(daemonID, id))
		c.send(sbrp.FrameHandshakeInit, id, make([]byte, size))
		c.wantControl(sbrp.CodeSessionExpired, id)
	}
	if n := g.daemon.Stats(); n.HandshakesRefused != 4 || n.Handshakes != 0 || n.Losses != 0 {
		t.Errorf("got %+v", n)
	}
	g.dial().talk("afterwards")
}

func goodAccepts(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	for _, short := range []bool{false, true} {
		c, id, keys := d.session(answer{short: short})
		d.send(sbrp.FrameData, id, seal(t, keys.down, 2, 0, "hello"))
		c.want("hello")
		_ = c.Close("")
		d.wantControl(sbrp.CodeSessionEnded, id)
	}
}

func wrongAccepts(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	for _, size := range []int{1, 64, 95, 97, 127, 129, 192} {
		result := d.dial(nil)
		id, _, _ := d.accept(answer{size: size})
		if r := <-result; r.err == nil {
			t.Errorf("HandshakeAccept of %d bytes was taken", size)
			_ = r.s.Close("")
		}
		d.wantControl(sbrp.CodeSessionEnded, id)
	}
}

func fullData(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	c, id, keys := d.session(answer{})
	text := string(bytes.Repeat([]byte("c"), 65508))
	c.send(text)
	if f := d.want(sbrp.FrameData); len(f.Payload) != 65536 || unseal(t, keys.up, 1, 0, f.Payload) != text {
		t.Errorf("a full message is a payload of %d bytes", len(f.Payload))
	}
	d.send(sbrp.FrameData, id, seal(t, keys.down, 2, 0, text))
	c.want(text)
	d.send(sbrp.FrameData, id, seal(t, keys.down, 2, 1, "")) // 28 bytes
	c.want("")
}

// splits feeds a stream of frames to the decoder in every way that one cut makes, and byte by byte.
func splits(t *testing.T) {
	var stream []byte
	var want []string
	for _, f := range []sbrp.Frame{
		{Type: sbrp.FramePing}, {Type: sbrp.FrameData, SessionID: 7, Payload: make([]byte, 300)},
		{Type: sbrp.FrameSignal, SessionID: 9, Payload: []byte{1, 0}}, {Type: sbrp.FramePong, Payload: []byte("12345678")},
	} {
		stream = sbrp.AppendFrame(stream, f.Type, f.SessionID, f.Payload)
		want = append(want, string(sbrp.AppendFrame(nil, f.Type, f.SessionID, f.Payload)))
	}
	decode := func(parts ...[]byte) {
		t.Helper()
		var d sbrp.Decoder
		var got []string
		for _, p := range parts {
			_, _ = d.Write(p) // never fails
			for {
				f, ok, err := d.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				got = append(got, string(sbrp.AppendFrame(nil, f.Type, f.SessionID, f.Payload)))
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d frames, want %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("frame %d is another", i)
			}
		}
	}
	for i := range len(stream) + 1 {
		decode(stream[:i], stream[i:])
	}
	var each [][]byte
	for i := range stream {
		each = append(each, stream[i:i+1])
	}
	decode(each...)
}

// layouts: 128 bytes unless set otherwise, with real and with scripted peers.
func layouts(t *testing.T) {
	bothLayouts(t)
	g := startGenuine(t, relay.Config{})
	if c := g.rawClient(); len(c.accept) != 128 {
		t.Errorf("HandshakeAccept of %d bytes", len(c.accept))
	}
	if unset := (endpoint.DaemonConfig{}); unset.Layout != e2ee.LayoutFull {
		t.Error("the layout of 128 bytes is not the default")
	}
}
