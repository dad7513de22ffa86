package endpoint_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
)

// lifeCases are section 6 at the endpoints, and 7.1.
func lifeCases(s *sbrptest.Suite) {
	s.Case("6.1", "client", "first frame, then Active", real(firstFrame))
	s.Case("6.2", "client", "daemon with another key", real(func(t *testing.T, g *genuine) { otherIdentity(t, g, false) }))
	s.Case("6.2", "client", "daemon with bad signatures", real(badSignatures))
	s.Case("6.3", "client", "daemon never was there", real(offlineDaemon))
	s.Case("6.4", "client", "daemon away", real(pausedClient))
	s.Case("6.5", "client", "daemon back, not ready", real(func(t *testing.T, g *genuine) { pendingClient(t, g) }))
	s.Case("6.6", "client", "a raw daemon resumes", real(resumedClient))
	s.Case("6.6", "client", "five pauses", pauseAndResume)
	s.Case("6.7", "client", "Signal(close)", real(expiredClient))
	s.Case("6.7", "client", "WebSocket closed", real(cutClient))
	s.Case("6.8", "client", "dials again", real(dialsAgain))
	s.Case("6.9", "daemon", "cut, with a raw client", real(resumedDaemon))
	s.Case("6.9", "daemon", "cut while it sends", readyComesFirst)
	s.Case("6.10", "daemon", "keys of one session are gone", unfitSession)
	s.Case("6.12", "daemon", "session known and unknown", pendingAtDaemon)
	s.Case("6.12", "daemon", "restarted", daemonRestart)
	s.Case("6.13", "client", "leaves", real(endedAtDaemon))
	s.Case("6.14", "client", "Init again and again", repeatedInit)
	s.Case("6.33", "client", "idle for 10 minutes", func(t *testing.T) { pingsEvery15s(t, sbrp.RoleClient) })
	s.Case("6.33", "daemon", "idle for 10 minutes", func(t *testing.T) { pingsEvery15s(t, sbrp.RoleDaemon) })
	s.Case("6.34", "client", "path dies, idle and writing", deadPathOfClient)
	s.Case("6.34", "daemon", "path dies, idle and writing", deadPathOfDaemon)
	s.Case("6.34", "relay", "speaks, so the path lives", healthyPathLives)
	s.Case("7.1", "client", "header of the request", func(t *testing.T) { tokenInHeader(t, sbrp.RoleClient) })
	s.Case("7.1", "daemon", "header of the request", func(t *testing.T) { tokenInHeader(t, sbrp.RoleDaemon) })
}

func firstFrame(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	c, id, _ := d.session(answer{}) // accept wants HandshakeInit before anything else
	if c.ID() != id || c.State() != endpoint.Active {
		t.Errorf("session %v is %v", c.ID(), c.State())
	}
}

func offlineDaemon(t *testing.T, g *genuine) {
	_, err := endpoint.DialSession(t.Context(), endpoint.ClientConfig{
		URL: g.url, Token: sbrptest.ClientToken("nobody", 7), DaemonID: "nobody", Expected: g.identity.PublicKey(), Logger: logger(t),
	})
	if !isCode(sbrp.CodeDaemonOffline)(err) || endpoint.Final(err) {
		t.Errorf("DialSession = %v, want daemon_offline and another try", err)
	}
}

// nothingSent has a client that is held back send, and looks that the relay gets nothing of it. So many frames have gone to
// the daemon before; the relay counts one when it is written, which may be after it has been answered.
func nothingSent(t *testing.T, g *genuine, c *end, state endpoint.State, frames uint64) {
	t.Helper()
	g.until("the relay to have counted what was sent", func() bool { return g.handler.Load().Stats().FramesToDaemon == frames })
	before, dropped := g.handler.Load().Stats(), c.Session.Stats().Dropped
	for range 3 {
		c.send("held back")
	}
	if got := c.State(); got != state {
		t.Errorf("state %v, want %v", got, state)
	}
	after := g.handler.Load().Stats()
	if after.Clients != before.Clients || after.DiscardedNotPaired != 0 || after.FramesToDaemon != before.FramesToDaemon {
		t.Errorf("relay's counts were %+v and are %+v", before, after)
	}
	if n := c.Session.Stats().Dropped - dropped; n != 3 {
		t.Errorf("%d messages dropped, want 3", n)
	}
}

func pausedClient(t *testing.T, g *genuine) {
	x := g.dial()
	g.away.Store(true)
	g.cut()
	x.client.wantPath(false, 0)
	nothingSent(t, g, x.client, endpoint.Paused, 1) // HandshakeInit
	g.away.Store(false)
	g.daemon.Kick()
	x.client.wantPath(true, 1)
	x.talk("afterwards")
}

// pendingClient leaves a client whose raw daemon is back and has not said ready.
func pendingClient(t *testing.T, g *genuine) (d *rawDaemon, c *end, id sbrp.SessionID, keys traffic) {
	d = g.rawDaemon()
	c, id, keys = d.session(answer{})
	c.send("before")
	unseal(t, keys.up, 1, 0, d.want(sbrp.FrameData).Payload)
	d.send(sbrp.FrameData, id, seal(t, keys.down, 2, 0, "before"))
	c.want("before")
	d.conn.CloseNow()
	c.wantPath(false, 0)
	back := g.peer(sbrptest.DaemonToken(d.id, 1))
	back.wantControl(sbrp.CodeSessionPending, id)
	d.peer = back
	g.until("the client to be pending", func() bool { return c.State() == endpoint.Pending })
	nothingSent(t, g, c, endpoint.Pending, 2) // HandshakeInit and Data
	return d, c, id, keys
}

// resumedClient: the raw daemon goes on with the keys and numbers that it had; what was sent before does not pass again.
func resumedClient(t *testing.T, g *genuine) {
	d, c, id, keys := pendingClient(t, g)
	d.send(sbrp.FrameSignal, id, []byte{0, 0})
	c.wantPath(true, 1)
	c.send("after")
	if got := unseal(t, keys.up, 1, 1, d.want(sbrp.FrameData).Payload); got != "after" {
		t.Errorf("got %q", got)
	}
	d.send(sbrp.FrameData, id, seal(t, keys.down, 2, 0, "before"))
	d.send(sbrp.FrameData, id, seal(t, keys.down, 2, 1, "after"))
	c.want("after")
	if n := c.Session.Stats().Replayed; n != 1 {
		t.Errorf("%d replays counted, want 1", n)
	}
}

func expiredClient(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	c, id, _ := d.session(answer{})
	d.send(sbrp.FrameSignal, id, []byte{1, 3})
	c.wantCode(sbrp.CodeSessionExpired)
	if c.State() != endpoint.Reconnecting {
		t.Errorf("state %v", c.State())
	}
}

func cutClient(t *testing.T, g *genuine) {
	x := g.dial()
	g.end() // the relay goes down
	x.client.wantEnd()
	if x.client.State() != endpoint.Reconnecting {
		t.Errorf("state %v", x.client.State())
	}
}

// dialsAgain: a session that is over stays so, and the next has nothing of it; its token is used up only by its id.
func dialsAgain(t *testing.T, g *genuine) {
	d := g.rawDaemon()
	result := d.dial(nil)
	first, _, init := d.accept(answer{})
	c := pump(t, (<-result).s)
	transcript := c.Transcript()
	d.send(sbrp.FrameSignal, first, []byte{1, 0})
	c.wantCode(sbrp.CodeSessionExpired)
	g.until("the client to be gone", func() bool { return g.handler.Load().Stats().Clients == 0 })
	result = d.dial(nil)
	second, _, again := d.accept(answer{})
	next := pump(t, (<-result).s)
	if first == second || string(init) == string(again) || transcript == next.Transcript() {
		t.Error("the new session has something of the old one")
	}
	if c.State() != endpoint.Reconnecting || g.handler.Load().Stats().Clients != 1 {
		t.Errorf("the old session is %v", c.State())
	}
}

// resumedDaemon: the raw client sees the pause and the return, and goes on with its keys and numbers.
func resumedDaemon(t *testing.T, g *genuine) {
	c := g.rawClient()
	d := pump(t, <-g.accepted)
	c.say("one")
	d.want("one")
	d.send("one")
	unseal(t, c.keys.down, 2, 0, c.want(sbrp.FrameData).Payload)
	for i := range uint64(3) {
		g.cut()
		c.wantControl(sbrp.CodeSessionPaused, c.id)
		c.wantControl(sbrp.CodeSessionPending, c.id)
		c.wantControl(sbrp.CodeSessionResumed, c.id)
		d.wantPath(true, uint32(i+1))
		c.say("again")
		d.want("again")
		d.send("again")
		unseal(t, c.keys.down, 2, i+1, c.want(sbrp.FrameData).Payload)
	}
	if n := g.daemon.Stats(); n.Handshakes != 1 || n.Losses != 3 {
		t.Errorf("got %+v", n)
	}
}

func endedAtDaemon(t *testing.T, g *genuine) {
	c := g.rawClient()
	d := pump(t, <-g.accepted)
	other := g.dial()
	c.conn.CloseNow()
	d.wantCode(sbrp.CodeSessionEnded)
	g.until("its keys to go", d.Wiped)
	other.talk("the other session")
	if n := g.daemon.Stats(); n.Sessions != 1 || n.Losses != 0 {
		t.Errorf("got %+v", n)
	}
}

func pingsEvery15s(t *testing.T, role sbrp.Role) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		var pings atomic.Int32
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.Frame.Type == sbrp.FramePing && p.From == role {
				pings.Add(1)
			}
			return [][]byte{p.Message}
		})
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if n := pings.Load(); n != 40 {
			t.Errorf("%d pings in 10 minutes, want 40", n)
		}
		x.talk("afterwards")
	})
}

// tokenInHeader looks at the request that an endpoint makes.
func tokenInHeader(t *testing.T, role sbrp.Role) {
	type request struct{ header, query string }
	seen := make(chan request, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- request{r.Header.Get("Authorization"), r.URL.RawQuery}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	token := sbrptest.ClientToken(daemonID, 7)
	if role == sbrp.RoleClient {
		_, err := endpoint.DialSession(t.Context(), endpoint.ClientConfig{
			URL: server.URL, Token: token, DaemonID: daemonID, Expected: e2ee.GenerateIdentity().PublicKey(),
		})
		if err == nil {
			t.Fatal("DialSession succeeded")
		}
	} else {
		token = sbrptest.DaemonToken(daemonID, 1)
		d, err := endpoint.NewDaemon(endpoint.DaemonConfig{
			Identity: e2ee.GenerateIdentity(), Accept: func(*endpoint.Session) {},
			Connect: func(context.Context) (endpoint.Presence, error) {
				return endpoint.Presence{URL: server.URL, Token: token, DaemonID: daemonID}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
	}
	if r := <-seen; r.header != "Bearer "+token || r.query != "" {
		t.Errorf("the request has the header %q and the query %q", r.header, r.query)
	}
}
