package relay_test

import (
	"errors"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/wsconn"
)

// lifeCases are what section 6 says beside its table.
func lifeCases(s *sbrptest.Suite) {
	s.Case("6.11", "daemon", "restarted, 50 sessions are held", restartedDaemon)
	s.Case("6.14", "client", "Init twice, and an Accept that nobody asked for", handshakeOutOfTurn)
	s.Case("6.30", "daemon", "connects twice", newestDaemonWins)
	s.Case("6.31", "client", "sends while it is paused and pending", loop(pausedFramesAreGone))
	s.Case("6.31", "daemon", "sends before it is ready", loop(pendingFramesAreGone))
	s.Case("6.32", "client", "connects twice", loop(connectedTwice))
	s.Case("6.35", "client", "silent for 24 h, but for WebSocket pongs", silentButAlive)
	s.Case("6.35", "client", "deaf for 90 s", silentIsDead)
	s.Case("6.36", "client", "says nothing for 24 h", silentButAlive)
	s.Case("6.37", "client", "paths", loop(paths))
	s.Case("6.38", "relay", "frames of all sizes", loop(forwardsTheSameBytes))
	s.Case("6.38", "relay", "frames of all sizes over TLS", func(t *testing.T) { forwardsTheSameBytes(t, newSecureRig(t, nil)) })
	s.Case("6.39", "client", "Ping and Pong in a session", loop(func(t *testing.T, r *rig) { pingsStay(t, r, sbrp.RoleClient) }))
	s.Case("6.39", "daemon", "Ping and Pong in a session", loop(func(t *testing.T, r *rig) { pingsStay(t, r, sbrp.RoleDaemon) }))
	s.Case("6.40", "client", "reads late", lateClientGetsEverything)
	s.Case("6.40", "client", "never reads", slowClientThatNeverReads)
	s.Case("6.41", "relay", "fails over a client's frame", internalError)
	s.Case("6.42", "client", "messages and bytes over the rate, and a daemon", slowedToTheRate)
	s.Case("6.42", "client", "one session more than the daemon's token allows", loop(oneTooMany))
}

func pausedFramesAreGone(t *testing.T, r *rig) {
	_, c := paused(r)
	c.send(dataFrame(7, 40, 1))
	c.sync()
	d := pending(r, c)
	c.send(dataFrame(7, 40, 2))
	c.sync()
	d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
	c.wantControl(sbrp.CodeSessionResumed, 7)
	c.send(dataFrame(7, 40, 3))
	d.want(dataFrame(7, 40, 3)) // and nothing before
	if n := r.srv.Stats(); n.DiscardedNotPaired != 2 {
		t.Errorf("got %+v", n)
	}
}

func pendingFramesAreGone(t *testing.T, r *rig) {
	_, c := paused(r)
	d := pending(r, c)
	d.send(dataFrame(7, 40, 1))
	d.send(sbrp.AppendSignal(nil, 7, sbrp.SignalReady, sbrp.ReasonNone))
	d.send(dataFrame(7, 40, 2))
	c.wantControl(sbrp.CodeSessionResumed, 7)
	c.want(dataFrame(7, 40, 2)) // and nothing before
	if n := r.srv.Stats(); n.DiscardedNotPaired != 1 {
		t.Errorf("got %+v", n)
	}
}

// connectedTwice: paired, paused or just being told its end, a session id that is connected is taken; the session goes on.
func connectedTwice(t *testing.T, r *rig) {
	conflict := func() {
		t.Helper()
		_, err := r.tryDial(clientToken("d", 7))
		if de, ok := errors.AsType[*wsconn.DialError](err); !ok || de.Status != 409 {
			t.Errorf("got %v, want 409", err)
		}
	}
	d, c := resumed(r)
	conflict()
	c.send(dataFrame(7, 40, 1))
	d.want(dataFrame(7, 40, 1))
	d.close()
	c.wantControl(sbrp.CodeSessionPaused, 7)
	conflict()
	c.close()
	eventually(t, "the session id is free", func() bool { return r.srv.Stats().Clients == 0 })
	d = r.daemon("d")
	r.session(d, "d", 7)
}

// paths: both paths are the relay; what else the request says, a query, other headers, does not matter.
func paths(t *testing.T, r *rig) {
	d := r.daemon("d")
	for i, path := range []string{"", "/", "/relay", "/relay?did=other&sid=AAAAAAAAAAE&role=daemon", "/?daemon=other"} {
		sid := sbrp.SessionID(i + 1)
		conn, err := wsconn.Dial(t.Context(), r.url+path, wsconn.DialOptions{Token: clientToken("d", sid)})
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		if err := conn.Write(initFrame(sid)); err != nil {
			t.Fatal(err)
		}
		d.want(initFrame(sid))
		conn.CloseNow()
		d.wantControl(sbrp.CodeSessionEnded, sid)
	}
	for _, path := range []string{"/relay/", "/relay/d", "/Relay", "//"} {
		_, err := wsconn.Dial(t.Context(), r.url+path, wsconn.DialOptions{Token: clientToken("d", 99)})
		if de, ok := errors.AsType[*wsconn.DialError](err); !ok || de.Status != 404 {
			t.Errorf("%q: %v, want 404", path, err)
		}
	}
}

func pingsStay(_ *testing.T, r *rig, from sbrp.Role) {
	d := r.daemon("d")
	c := r.session(d, "d", 7)
	near, far := c, d
	if from == sbrp.RoleDaemon {
		near, far = d, c
	}
	near.send(sbrp.AppendPong(nil, []byte("unasked")))
	near.sync() // a Ping and its Pong
	near.send(dataFrame(7, 40, 1))
	far.want(dataFrame(7, 40, 1)) // and nothing before
	far.sync()
}

func oneTooMany(t *testing.T, r *rig) {
	d := r.dial(mint(openClaims{Role: sbrp.RoleDaemon, Daemon: "d", Sessions: 2}))
	d.sync()
	first := r.session(d, "d", 1)
	r.session(d, "d", 2)
	refusedWith(t, r, clientToken("d", 3), 429, sbrp.CodeRateLimited)
	first.close()
	d.wantControl(sbrp.CodeSessionEnded, 1)
	eventually(t, "its place is free", func() bool { return r.srv.Stats().Clients == 1 })
	r.session(d, "d", 3)
}
