package endpoint_test

import (
	"context"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"culvert/sbrp"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/wsconn"
)

// peer is a raw end of a WebSocket at the project's own relay. What it says of handshakes and sealed messages is written down
// here a second time, from the standard library alone, without package e2ee.
type peer struct {
	t    testing.TB
	conn *wsconn.Conn
	got  chan []byte
	err  error // after got is closed
}

func (g *genuine) peer(token string) *peer {
	g.t.Helper()
	conn, err := wsconn.Dial(context.Background(), g.url, wsconn.DialOptions{Token: token})
	if err != nil {
		g.t.Fatal(err)
	}
	p := &peer{t: g.t, conn: conn, got: make(chan []byte, 4096)}
	go func() {
		defer close(p.got)
		for {
			buf := make([]byte, sbrp.MaxFrame+1)
			n, err := conn.Read(buf)
			if err != nil {
				p.err = err
				return
			}
			p.got <- buf[:n]
		}
	}()
	g.t.Cleanup(func() {
		conn.CloseNow()
		for range p.got {
		}
	})
	return p
}

func (p *peer) send(t sbrp.FrameType, id sbrp.SessionID, payload []byte) {
	p.t.Helper()
	if err := p.conn.Write(sbrp.AppendFrame(nil, t, id, payload)); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next message that is neither Ping nor Pong.
func (p *peer) next() sbrp.Frame {
	p.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		select {
		case b, ok := <-p.got:
			if !ok {
				p.t.Fatalf("connection ended: %v", p.err)
			}
			f, err := sbrp.ParseFrame(b)
			if err != nil {
				p.t.Fatal(err)
			}
			if f.Type != sbrp.FramePing && f.Type != sbrp.FramePong {
				return f
			}
		case <-limit.C:
			p.t.Fatal("nothing came for a minute")
		}
	}
}

func (p *peer) want(t sbrp.FrameType) sbrp.Frame {
	p.t.Helper()
	f := p.next()
	if f.Type != t {
		p.t.Fatalf("got %v % .20x, want %v", f.Type, f.Payload, t)
	}
	return f
}

func (p *peer) wantControl(code sbrp.Code, id sbrp.SessionID) {
	p.t.Helper()
	f := p.want(sbrp.FrameControl)
	if got := sbrp.Code(binary.BigEndian.Uint16(f.Payload)); got != code || f.SessionID != id {
		p.t.Fatalf("got %v for %v, want %v for %v", got, f.SessionID, code, id)
	}
}

// sync returns when the relay has handled what was sent before.
func (p *peer) sync() {
	p.t.Helper()
	p.send(sbrp.FramePing, 0, []byte("sync"))
	for b := range p.got {
		if b[0] == byte(sbrp.FramePong) {
			return
		}
	}
	p.t.Fatal(p.err)
}

// hashOf is SHA-256 of a label and more, one after the other.
func hashOf(label string, parts ...[]byte) []byte {
	h := sha256.New()
	h.Write([]byte(label))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// traffic is what a handshake gives.
type traffic struct {
	up, down   []byte // client to daemon, daemon to client
	transcript [32]byte
}

// hand is the public part of a handshake.
type hand struct {
	daemonID             string
	clientEph, daemonEph []byte
	signature            []byte
}

func (h hand) sigPayload() []byte {
	return hashOf("sbrp-v1-handshake", []byte(h.daemonID), h.clientEph, h.daemonEph)
}

func (h hand) agree(t testing.TB, own *ecdh.PrivateKey, other []byte) traffic {
	t.Helper()
	pub, err := ecdh.X25519().NewPublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := own.ECDH(pub)
	if err != nil {
		t.Fatal(err)
	}
	transcript := hashOf("sbrp-v1-transcript", []byte(h.daemonID), h.clientEph, h.daemonEph, h.signature)
	okm, err := hkdf.Key(sha256.New, shared, transcript, "sbrp-session-keys", 64)
	if err != nil {
		t.Fatal(err)
	}
	return traffic{okm[:32], okm[32:], [32]byte(transcript)}
}

func aead(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	a, err := chacha20poly1305.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// seal makes the payload of a Data frame.
func seal(t testing.TB, key []byte, direction uint32, seq uint64, text string) []byte {
	t.Helper()
	nonce := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, direction), seq)
	return aead(t, key).Seal(nonce[:12:12], nonce, []byte(text), nil)
}

// unseal opens one, and checks its nonce.
func unseal(t testing.TB, key []byte, direction uint32, seq uint64, payload []byte) string {
	t.Helper()
	nonce := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, direction), seq)
	if string(payload[:12]) != string(nonce) {
		t.Fatalf("nonce % x, want % x", payload[:12], nonce)
	}
	text, err := aead(t, key).Open(nil, nonce, payload[12:], nil)
	if err != nil {
		t.Fatalf("message %d: %v", seq, err)
	}
	return string(text)
}

func newEphemeral(t testing.TB) *ecdh.PrivateKey {
	t.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// rawClient is a client past its handshake with the daemon under test.
type rawClient struct {
	*peer
	id     sbrp.SessionID
	accept []byte // the payload
	keys   traffic
	sent   uint64
}

// rawClient shakes hands by itself.
func (g *genuine) rawClient() *rawClient {
	g.t.Helper()
	c := &rawClient{id: sbrp.NewSessionID()}
	c.peer = g.peer(sbrptest.ClientToken(daemonID, c.id))
	own := newEphemeral(g.t)
	c.send(sbrp.FrameHandshakeInit, c.id, own.PublicKey().Bytes())
	c.accept = c.want(sbrp.FrameHandshakeAccept).Payload
	rest := c.accept[len(c.accept)-96:]
	h := hand{daemonID, own.PublicKey().Bytes(), rest[:32], rest[32:]}
	key := g.identity.PublicKey()
	if !ed25519.Verify(key[:], h.sigPayload(), h.signature) {
		g.t.Fatal("the daemon's signature does not verify")
	}
	c.keys = h.agree(g.t, own, h.daemonEph)
	return c
}

// say sends a sealed message with the next number.
func (c *rawClient) say(text string) {
	c.t.Helper()
	c.send(sbrp.FrameData, c.id, seal(c.t, c.keys.up, 1, c.sent, text))
	c.sent++
}

// rawDaemon is a daemon for the clients under test.
type rawDaemon struct {
	*peer
	g   *genuine
	id  string
	key ed25519.PrivateKey
}

func (g *genuine) rawDaemon() *rawDaemon {
	g.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		g.t.Fatal(err)
	}
	d := &rawDaemon{g: g, id: "raw/daemon~1", key: key}
	d.peer = g.peer(sbrptest.DaemonToken(d.id, 1))
	d.sync()
	return d
}

func (d *rawDaemon) public() sbrp.PublicKey {
	return sbrp.PublicKey(d.key.Public().(ed25519.PublicKey))
}

// dialled is what became of DialSession.
type dialled struct {
	s   *endpoint.Session
	err error
}

// dial lets a client under test dial; change may be nil.
func (d *rawDaemon) dial(change func(*endpoint.ClientConfig)) <-chan dialled {
	c := endpoint.ClientConfig{
		URL: d.g.url, Token: sbrptest.ClientToken(d.id, sbrp.NewSessionID()), DaemonID: d.id, Expected: d.public(), Logger: logger(d.t),
	}
	if change != nil {
		change(&c)
	}
	result := make(chan dialled, 1)
	go func() {
		s, err := endpoint.DialSession(context.Background(), c)
		result <- dialled{s, err}
	}()
	return result
}

// answer is how a raw daemon answers HandshakeInit; the zero value is right.
type answer struct {
	identity []byte             // nil: its own
	eph      []byte             // nil: a new one
	signer   ed25519.PrivateKey // nil: its own
	flip     bool               // a bit of the signature
	short    bool               // 96 bytes
	size     int                // cut or padded to this; 0: as it is
}

// accept waits for HandshakeInit and answers. The keys are none with an ephemeral key that is not its own.
func (d *rawDaemon) accept(a answer) (id sbrp.SessionID, keys traffic, init []byte) {
	d.t.Helper()
	f := d.want(sbrp.FrameHandshakeInit)
	own := newEphemeral(d.t)
	public := d.public()
	h := hand{d.id, f.Payload, own.PublicKey().Bytes(), nil}
	if a.eph != nil {
		h.daemonEph = a.eph
	}
	if a.signer == nil {
		a.signer = d.key
	}
	if a.identity == nil {
		a.identity = public[:]
	}
	h.signature = ed25519.Sign(a.signer, h.sigPayload())
	if a.flip {
		h.signature[5] ^= 1
	}
	var p []byte
	if !a.short {
		p = append(p, a.identity...)
	}
	p = append(append(p, h.daemonEph...), h.signature...)
	if a.size > 0 {
		p = append(p, make([]byte, 200)...)[:a.size]
	}
	if a.eph == nil {
		keys = h.agree(d.t, own, f.Payload)
	}
	d.send(sbrp.FrameHandshakeAccept, f.SessionID, p)
	return f.SessionID, keys, f.Payload
}

// session is a client under test past its handshake.
func (d *rawDaemon) session(a answer) (c *end, id sbrp.SessionID, keys traffic) {
	d.t.Helper()
	result := d.dial(nil)
	id, keys, _ = d.accept(a)
	r := <-result
	if r.err != nil {
		d.t.Fatal(r.err)
	}
	return pump(d.t, r.s), id, keys
}
