package endpoint_test

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
)

// carrier is the link layer's interface, copied: a Session must satisfy it with
// the standard library's types alone.
type carrier interface {
	Overhead() (head, tail, max int)
	Transcript() [32]byte
	Send(buf []byte) error
	Receive(buf []byte) ([]byte, error)
	Path() (up bool, resumes uint32, changed <-chan struct{})
	Close(reason string) error
}

var _ carrier = (*endpoint.Session)(nil)

func TestHandshakeAndTalk(t *testing.T) {
	relay := sbrptest.NewRelay()
	r := start(t, relay, relay.Listen(t), nil)
	x := r.dial(nil)
	if x.client.Transcript() != x.daemon.Transcript() || x.client.Transcript() == [32]byte{} {
		t.Errorf("transcripts %x and %x, want the same", x.client.Transcript(), x.daemon.Transcript())
	}
	if !x.client.DaemonKey().Equal(r.identity.PublicKey()) {
		t.Errorf("client's DaemonKey = %v, want %v", x.client.DaemonKey(), r.identity.PublicKey())
	}
	head, tail, max := x.client.Overhead()
	if head != 25 || tail != 16 || max != 65508 {
		t.Errorf("Overhead = %d, %d, %d, want 25, 16, 65508", head, tail, max)
	}
	x.client.wantPath(true, 0)
	x.daemon.wantPath(true, 0)
	for _, size := range []int{0, 1, 1000, 40_000, 65_507, 65_508} {
		text := strings.Repeat("x", size)
		x.client.send(text)
		x.daemon.want(text)
		x.daemon.send(text)
		x.client.want(text)
	}
	if s := x.daemon.Stats(); s.MessagesIn != 6 || s.MessagesOut != 6 || s.BytesIn != s.BytesOut {
		t.Errorf("daemon's Stats = %+v, want 6 messages each way", s)
	}
	_ = x.client.Close("done")
	if err := x.client.wantEnd(); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "done") {
		t.Errorf("client's end: %v, want net.ErrClosed with the reason", err)
	}
	x.daemon.wantCode(sbrp.CodeSessionEnded)
}

// Both layouts of HandshakeAccept, in memory.
func bothLayouts(t *testing.T) {
	for _, layout := range []e2ee.Layout{e2ee.LayoutFull, e2ee.LayoutShort} {
		t.Run(layout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) { c.Layout = layout })
				r.dial(nil).talk("in " + layout.String())
			})
		})
	}
}

// Receive into a buffer that holds the longest frame and no byte more.
func TestReceiveExactBuffer(t *testing.T) {
	relay := sbrptest.NewRelay()
	r := start(t, relay, relay.Listen(t), nil)
	c, err := endpoint.DialSession(t.Context(), r.client())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close("test is over")
	d := <-r.accepted
	text := strings.Repeat("y", sbrp.MaxPlaintext)
	head, tail, most := c.Overhead()
	for _, way := range [][2]*endpoint.Session{{c, d}, {d, c}} {
		if err := way[0].Send(packet(text)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, head+tail+most)
		got, err := way[1].Receive(buf)
		if err != nil || string(got) != text {
			t.Errorf("Receive = %d bytes, %v, want %d", len(got), err, len(text))
		}
		if len(got) > 0 && !inside(buf, got) {
			t.Errorf("%v: Receive returned bytes outside of the caller's buffer", way[1].Role())
		}
	}
}

func inside(buf, part []byte) bool {
	old := part[0]
	defer func() { part[0] = old }()
	part[0] = 0xA5
	first := bytes.Count(buf, []byte{0xA5})
	part[0] = 0x5A
	return bytes.Count(buf, []byte{0xA5}) == first-1
}

func pauseAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		transcript := x.client.Transcript()
		for i := range uint32(5) {
			x.talk("before")
			_, _, changed := x.client.Path()
			r.relay.CutDaemon(daemonID)
			<-changed
			x.client.wantPath(false, i)
			x.client.send("lost while paused") // dropped without an error
			x.client.wantPath(true, i+1)
			x.daemon.wantPath(true, i+1)
			x.talk("after")
		}
		if x.client.Transcript() != transcript || x.daemon.Transcript() != transcript {
			t.Error("the transcript changed: not the same keys")
		}
		// Messages are numbered without gaps: what was dropped used no sequence
		// number, or the daemon could not tell loss from reordering.
		if s := x.client.Stats(); s.Dropped != 5 || s.MessagesOut != 10 {
			t.Errorf("client's Stats = %+v, want 5 dropped and 10 sent", s)
		}
		for i, s := range r.relay.Signals() {
			if s.Signal != sbrp.SignalReady {
				t.Errorf("signal %d = %v, want ready", i, s)
			}
		}
		if n := r.daemon.Stats(); n.Connects != 6 || n.Handshakes != 1 {
			t.Errorf("daemon's Stats = %+v, want 6 connects, 1 handshake", n)
		}
	})
}

// Over real WebSockets, with traffic on the way when the daemon's path is cut.
func TestPauseOverSockets(t *testing.T) {
	relay := sbrptest.NewRelay()
	r := start(t, relay, relay.Listen(t), nil)
	x := r.dial(nil)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, e := range []*end{x.client, x.daemon} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if err := e.Send(packet(strings.Repeat(e.name, 1000))); err != nil {
						t.Errorf("%s: Send: %v", e.name, err)
						return
					}
				}
			}
		})
		wg.Go(func() {
			for {
				select {
				case got := <-e.got:
					if len(got) != 6000 {
						t.Errorf("%s received %d bytes, want 6000", e.name, len(got))
					}
				case <-stop:
					return
				}
			}
		})
	}
	for i := range uint32(5) {
		relay.CutDaemon(daemonID)
		x.client.wantPath(true, i+1)
		x.daemon.wantPath(true, i+1)
	}
	close(stop)
	wg.Wait()
}

// Every frame in turn, of each direction, is lost: the handshake times out, Data
// is lost alone.
func TestLossOfEachMessage(t *testing.T) {
	for _, from := range []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon} {
		for n := range 8 {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, sbrptest.NewRelay(), "", nil)
				r.relay.Script(func(p sbrptest.Passage) [][]byte {
					if p.From == from && p.SessionID != 0 && p.N == n {
						return nil
					}
					return [][]byte{p.Message}
				})
				if n == 0 { // HandshakeInit or HandshakeAccept
					begun := time.Now()
					_, err := endpoint.DialSession(t.Context(), r.client())
					if code, _ := sbrp.CodeOf(err); code != sbrp.CodeHandshakeTimeout {
						t.Errorf("first frame of the %v lost: DialSession = %v, want handshake_timeout", from, err)
					}
					if d := time.Since(begun); d != 30*time.Second {
						t.Errorf("first frame of the %v lost: timeout after %v, want 30 s", from, d)
					}
					return
				}
				x := r.dial(nil)
				sender, receiver := x.client, x.daemon
				if from == sbrp.RoleDaemon {
					sender, receiver = x.daemon, x.client
				}
				for i := 1; i <= 8; i++ {
					sender.send(numbered(i))
				}
				for i := 1; i <= 8; i++ {
					if i != n {
						receiver.want(numbered(i))
					}
				}
				x.talk("afterwards")
			})
		}
	}
}

// Every frame in turn is repeated at once, and once more later; or comes after
// its successor. Nothing is received twice.
func repetitionAndReorder(t *testing.T) {
	for _, from := range []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon} {
		for n := 1; n < 7; n++ {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, sbrptest.NewRelay(), "", nil)
				var kept []byte
				r.relay.Script(func(p sbrptest.Passage) [][]byte {
					switch {
					case p.From != from || p.SessionID == 0:
						return [][]byte{p.Message}
					case p.N == n:
						kept = p.Message
						return nil
					case p.N == n+1:
						return [][]byte{p.Message, kept, kept}
					case p.N == n+2:
						return [][]byte{kept, p.Message, p.Message}
					default:
						return [][]byte{p.Message}
					}
				})
				x := r.dial(nil)
				sender, receiver := x.client, x.daemon
				if from == sbrp.RoleDaemon {
					sender, receiver = x.daemon, x.client
				}
				for i := range 10 {
					sender.send(numbered(i + 1))
				}
				for i := range 10 {
					switch i + 1 {
					case n:
						receiver.want(numbered(n + 1))
					case n + 1:
						receiver.want(numbered(n))
					default:
						receiver.want(numbered(i + 1))
					}
				}
				synctest.Wait()
				receiver.wantNothing()
				if got := receiver.Stats().Replayed; got != 3 {
					t.Errorf("from the %v, frame %d: %d replays counted, want 3", from, n, got)
				}
			})
		}
	}
}

// One bit of each kind of place changed: the session ends with decrypt_failed,
// and the forged bytes are never received.
func forgedData(t *testing.T) {
	places := map[string]int{
		"direction": sbrp.HeaderSize + 3,
		"sequence":  sbrp.HeaderSize + 11,
		"text":      sbrp.HeaderSize + sbrp.NonceSize,
		"tag":       -1,
	}
	for name, place := range places {
		for _, from := range []sbrp.Role{sbrp.RoleClient, sbrp.RoleDaemon} {
			t.Run(name+" from "+from.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := start(t, sbrptest.NewRelay(), "", nil)
					r.relay.Script(func(p sbrptest.Passage) [][]byte {
						if p.From == from && p.Frame.Type == sbrp.FrameData && p.N == 2 {
							p.Message[(place+len(p.Message))%len(p.Message)] ^= 4
						}
						return [][]byte{p.Message}
					})
					x := r.dial(nil)
					x.talk("genuine")
					sender, receiver := x.client, x.daemon
					if from == sbrp.RoleDaemon {
						sender, receiver = x.daemon, x.client
					}
					sender.send("will be forged")
					receiver.wantCode(sbrp.CodeDecryptFailed)
					if receiver.Stats().Forged != 1 {
						t.Errorf("Stats = %+v, want one forged frame", receiver.Stats())
					}
					// The other end hears of it: from Signal(close), or as session_ended.
					if from == sbrp.RoleClient {
						sender.wantCode(sbrp.CodeSessionExpired)
					} else {
						sender.wantCode(sbrp.CodeSessionEnded)
					}
					// Others are not touched.
					r.relay.Script(nil)
					r.dial(nil).talk("another session")
				})
			})
		}
	}
}
