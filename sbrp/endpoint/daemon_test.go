package endpoint_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/wsconn"
)

// offline returns the errors of the reports that the daemon is offline.
func (r *rig) offline() (errs []error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.states {
		if !s.Online {
			errs = append(errs, s.Err)
		}
	}
	return errs
}

func (r *rig) connects() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// wantSignal checks that the relay got exactly these signals for a session.
func (r *rig) wantSignals(id sbrp.SessionID, want ...sbrptest.Signaled) {
	r.t.Helper()
	var got []sbrptest.Signaled
	for _, s := range r.relay.Signals() {
		if s.SessionID == id {
			got = append(got, s)
		}
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("signals of session %v = %v, want %v", id, got, want)
	}
}

func ready(id sbrp.SessionID) sbrptest.Signaled {
	return sbrptest.Signaled{SessionID: id, Signal: sbrp.SignalReady}
}

func closed(id sbrp.SessionID, r sbrp.Reason) sbrptest.Signaled {
	return sbrptest.Signaled{SessionID: id, Signal: sbrp.SignalClose, Reason: r}
}

func TestNewDaemonConfig(t *testing.T) {
	good := endpoint.DaemonConfig{
		Identity: e2ee.GenerateIdentity(),
		Connect:  func(context.Context) (endpoint.Presence, error) { return endpoint.Presence{}, nil },
		Accept:   func(*endpoint.Session) {},
	}
	if _, err := endpoint.NewDaemon(good); err != nil {
		t.Errorf("NewDaemon: %v", err)
	}
	for name, spoil := range map[string]func(*endpoint.DaemonConfig){
		"Identity":     func(c *endpoint.DaemonConfig) { c.Identity = nil },
		"Connect":      func(c *endpoint.DaemonConfig) { c.Connect = nil },
		"Accept":       func(c *endpoint.DaemonConfig) { c.Accept = nil },
		"MaxSessions":  func(c *endpoint.DaemonConfig) { c.MaxSessions = -1 },
		"PingInterval": func(c *endpoint.DaemonConfig) { c.PingInterval = -1 },
		"Grace":        func(c *endpoint.DaemonConfig) { c.Grace = -1 },
		"QueueBudget":  func(c *endpoint.DaemonConfig) { c.QueueBudget = -1 },
	} {
		c := good
		spoil(&c)
		if _, err := endpoint.NewDaemon(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("NewDaemon with a bad %s: %v, want an error that names it", name, err)
		}
	}
}

// Many sessions share the WebSocket and do not mix.
func manySessions(t *testing.T) {
	relay := sbrptest.NewRelay()
	r := start(t, relay, relay.Listen(t), nil)
	var all []*ends
	for range 20 {
		all = append(all, r.dial(nil))
	}
	for i, x := range all {
		x.client.send(numbered(i))
		x.daemon.send(numbered(-i))
	}
	for i, x := range all {
		x.daemon.want(numbered(i))
		x.client.want(numbered(-i))
	}
	if n := r.daemon.Stats().Sessions; n != 20 {
		t.Errorf("%d sessions, want 20", n)
	}
	relay.CutDaemon(daemonID)
	for _, x := range all {
		x.client.wantPath(true, 1)
		x.daemon.wantPath(true, 1)
		x.talk("after the cut")
	}
}

func TestRelayRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		begun := time.Now()
		r.relay.Restart()
		if err := x.client.wantEnd(); !errors.Is(err, wsconn.ErrLost) {
			t.Errorf("client's session ended with %v, want ErrLost", err)
		}
		// The new relay does not know the session that the daemon is ready for.
		x.daemon.wantCode(sbrp.CodeSessionEnded)
		if d := time.Since(begun); d > 100*time.Millisecond {
			t.Errorf("it took the daemon %v to come back, want at most 100 ms", d)
		}
		r.dial(nil).talk("with the new relay")
	})
}

// A daemon that was started anew has no state: the relay names the sessions it
// still holds, and hears that they are lost.
func daemonRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		relay := sbrptest.NewRelay()
		id := sbrp.NewSessionID()
		first := start(t, relay, "", nil)
		x := first.dial(func(c *endpoint.ClientConfig) { c.Token = sbrptest.ClientToken(daemonID, id) })
		relay.Mute(true) // so that the shutdown of the first says nothing of importance
		relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.Frame.Type == sbrp.FrameSignal {
				return nil
			}
			return [][]byte{p.Message}
		})
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		first.await("the first daemon to go", func() bool { return !relay.Online(daemonID) })
		relay.Script(nil)
		relay.Mute(false)
		second := start(t, relay, "", nil)
		x.client.wantCode(sbrp.CodeSessionExpired)
		second.wantSignals(id, closed(id, sbrp.ReasonStateLost))
		second.dial(nil).talk("with the new daemon")
	})
}

// The state check fails: Signal(close, state_lost), and not ready.
func unfitSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x, y := r.dial(nil), r.dial(nil)
		x.daemon.Wipe()
		r.relay.CutDaemon(daemonID)
		x.client.wantCode(sbrp.CodeSessionExpired)
		x.daemon.wantEnd()
		y.client.wantPath(true, 1)
		y.talk("the other lives")
		synctest.Wait()
		// Once unasked, once as the answer to session_pending.
		r.wantSignals(x.id, closed(x.id, sbrp.ReasonStateLost), closed(x.id, sbrp.ReasonStateLost))
	})
}

// Signal(ready) comes before any other frame of its session, also when somebody
// sends all the time.
func readyComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		var order []sbrp.FrameType
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.From == sbrp.RoleDaemon && p.SessionID != 0 {
				order = append(order, p.Frame.Type)
			}
			return [][]byte{p.Message}
		})
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					x.daemon.send("chatter")
				}
			}
		}()
		time.Sleep(5 * time.Millisecond)
		for i := range uint32(3) {
			r.relay.CutDaemon(daemonID)
			synctest.Wait()
			mark := len(order)
			x.client.wantPath(true, i+1)
			time.Sleep(5 * time.Millisecond)
			synctest.Wait()
			if len(order) <= mark || order[mark] != sbrp.FrameSignal {
				t.Errorf("frames after cut %d: %v, want a Signal first", i, order[mark:])
			}
		}
		close(stop)
		<-done
	})
}

// The daemon is away for longer than the relay's grace: it drops its sessions by
// itself.
func TestGraceAtDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		refuse(503, "internal_error")(r.relay)
		begun := time.Now()
		r.relay.CutDaemon(daemonID)
		x.daemon.wantCode(sbrp.CodeSessionExpired)
		if d := time.Since(begun); d != 75*time.Second {
			t.Errorf("session dropped after %v, want the grace and 15 s", d)
		}
		r.relay.Refuse(nil)
		r.daemon.Kick()
		r.await("the daemon to come back", func() bool { return r.relay.Online(daemonID) })
		x.client.wantCode(sbrp.CodeSessionExpired) // pending was answered with close
		r.wantSignals(x.id, closed(x.id, sbrp.ReasonStateLost))
	})
}

// A relay that says nothing about the session after its return: the daemon waits
// for a sign, and drops the session when there is none.
func TestUnconfirmedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		silent, speaking := r.dial(nil), r.dial(nil)
		r.relay.Mute(true)
		r.relay.CutDaemon(daemonID)
		begun := time.Now()
		for _, x := range []*ends{silent, speaking} {
			x.daemon.wantPath(true, 1)
		}
		synctest.Wait() // the relay has read the Signal too
		speaking.client.send("still here")
		speaking.daemon.want("still here")
		silent.daemon.wantCode(sbrp.CodeSessionExpired)
		if d := time.Since(begun); d < 75*time.Second || d > 76*time.Second {
			t.Errorf("unconfirmed session dropped after %v, want the grace and 15 s", d)
		}
		time.Sleep(10 * time.Minute)
		speaking.talk("and still")
	})
}

// session_pending is a sign too, and each is answered.
func pendingAtDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		r.relay.TellDaemon(daemonID, x.id, sbrp.CodeSessionPending)
		synctest.Wait()
		x.daemon.wantPath(true, 0) // it was up all the time
		r.wantSignals(x.id, ready(x.id))
		r.relay.TellDaemon(daemonID, 77, sbrp.CodeSessionPending)
		synctest.Wait()
		r.wantSignals(77, closed(77, sbrp.ReasonStateLost))
		r.relay.CutDaemon(daemonID)
		x.daemon.wantPath(true, 1)
		time.Sleep(10 * time.Minute) // pending has confirmed it
		x.talk("later")
	})
}

// What the relay says about sessions and about the connection.
func codeAtDaemon(t *testing.T, c sbrp.Code) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x, y := r.dial(nil), r.dial(nil)
		r.relay.TellDaemon(daemonID, x.id, c)
		r.relay.TellDaemon(daemonID, 99, c)
		time.Sleep(time.Second)
		synctest.Wait()
		cut := c.Terminal() && !c.SessionScoped() || c == sbrp.CodeDisallowedSender
		over := !cut && (c.Terminal() || c == sbrp.CodeSessionEnded)
		if got := r.daemon.Stats().Losses > 0; got != cut {
			t.Errorf("WebSocket lost: %v, want %v", got, cut)
		}
		if got := x.daemon.Err() != nil; got != over {
			t.Errorf("session over: %v (%v), want %v", got, x.daemon.Err(), over)
		}
		if over {
			x.daemon.wantCode(c)
		}
		if cut {
			if errs := r.offline(); len(errs) != 1 || !isCode(c)(errs[0]) {
				t.Errorf("reported offline: %v, want %v once", errs, c)
			}
		}
		y.talk("the other session lives")
	})
}

// What came before the end is received before the error.
func TestLastWordsArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan []string, 1)
		accepted, begin := make(chan struct{}), make(chan struct{})
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) {
			c.Accept = func(s *endpoint.Session) {
				close(accepted)
				<-begin
				var all []string
				buf := make([]byte, sbrp.MaxFrame+1)
				for {
					m, err := s.Receive(buf)
					if err != nil {
						if code, _ := sbrp.CodeOf(err); code != sbrp.CodeSessionEnded {
							t.Errorf("Receive = %v, want session_ended", err)
						}
						got <- all
						return
					}
					all = append(all, string(m))
				}
			}
		})
		c, err := endpoint.DialSession(t.Context(), r.client())
		if err != nil {
			t.Fatal(err)
		}
		<-accepted // a client that is gone before is nobody's session
		for i := range 5 {
			if err := c.Send(packet(numbered(i))); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.Close("")
		synctest.Wait()
		close(begin)
		if all := <-got; len(all) != 5 || all[4] != numbered(4) {
			t.Errorf("received %q, want five messages", all)
		}
		synctest.Wait()
		if n := r.daemon.Stats().QueuedBytes; n != 0 {
			t.Errorf("%d bytes counted as queued, want 0", n)
		}
	})
}

// HandshakeInit for a session that is active is dropped; the session goes on.
func repeatedInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		var init []byte
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.Frame.Type == sbrp.FrameHandshakeInit {
				init = p.Message
				return [][]byte{p.Message, p.Message}
			}
			return [][]byte{p.Message}
		})
		x := r.dial(nil)
		for range 10 {
			r.relay.InjectDaemon(daemonID, init)
		}
		x.talk("untouched")
		synctest.Wait()
		if s := r.daemon.Stats(); s.HandshakesRepeated != 11 || s.Handshakes != 1 {
			t.Errorf("Stats = %+v, want 1 handshake and 11 repeated", s)
		}
	})
}

// More sessions than allowed, and HandshakeInits of a wrong size or with a
// low-order key, are refused with Signal(close).
func TestRefusedHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) { c.MaxSessions = 2 })
		x, y := r.dial(nil), r.dial(nil)
		id := sbrp.NewSessionID()
		c := r.client()
		c.Token = sbrptest.ClientToken(daemonID, id)
		if _, err := endpoint.DialSession(t.Context(), c); !isCode(sbrp.CodeSessionExpired)(err) {
			t.Errorf("third session: %v, want session_expired", err)
		}
		r.wantSignals(id, closed(id, sbrp.ReasonPolicy))
		_ = y.client.Close("makes room")
		y.daemon.wantEnd()
		r.relay.InjectDaemon(daemonID, sbrp.AppendFrame(nil, sbrp.FrameHandshakeInit, 5, make([]byte, 31)))
		r.relay.InjectDaemon(daemonID, sbrp.AppendFrame(nil, sbrp.FrameHandshakeInit, 6, make([]byte, 32)))
		synctest.Wait()
		r.wantSignals(5, closed(5, sbrp.ReasonError))
		r.wantSignals(6, closed(6, sbrp.ReasonError))
		if n := r.daemon.Stats().HandshakesRefused; n != 3 {
			t.Errorf("%d handshakes refused, want 3", n)
		}
		x.talk("untouched")
		r.dial(nil).talk("in the room made")
	})
}

// A flood of HandshakeInits from a relay that makes up sessions: bounded, and
// the running session goes on.
func TestHandshakeFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) {
			c.MaxSessions = 10
			c.Accept = func(s *endpoint.Session) { <-s.Done() }
		})
		r.relay.Mute(true)
		init := e2ee.NewInitiator(daemonID, r.identity.PublicKey()).Init()
		for i := range 3000 {
			r.relay.InjectDaemon(daemonID, sbrp.AppendFrame(nil, sbrp.FrameHandshakeInit, sbrp.SessionID(i+1), init[:]))
		}
		synctest.Wait()
		s := r.daemon.Stats()
		if s.Sessions != 10 || s.Handshakes != 10 || s.HandshakesRefused != 2990 {
			t.Errorf("Stats = %+v, want 10 sessions and 2990 refused", s)
		}
		if s.Losses != 0 {
			t.Error("the WebSocket was given up")
		}
	})
}

// Messages that are no frames are dropped at a daemon, up to a bound.
func TestMalformedAtDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		for range endpoint.MalformedLimit - 1 {
			r.relay.InjectDaemon(daemonID, []byte{1, 2, 3})
		}
		x.talk("untouched")
		r.relay.InjectDaemon(daemonID, nil)
		x.daemon.wantPath(true, 1)
		x.client.wantPath(true, 1)
		x.talk("after the reconnect")
		if s := r.daemon.Stats(); s.Malformed != endpoint.MalformedLimit || s.Losses != 1 {
			t.Errorf("Stats = %+v, want %d malformed and 1 loss", s, endpoint.MalformedLimit)
		}
		r.relay.InjectDaemon(daemonID, make([]byte, sbrp.MaxFrame+1))
		x.daemon.wantPath(true, 2)
	})
}

// A Data frame that is too short to be sealed ends its own session alone, even
// if a client sends many.
func shortData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x, y := r.dial(nil), r.dial(nil)
		for range 2 * endpoint.MalformedLimit {
			r.relay.InjectDaemon(daemonID, sbrp.AppendFrame(nil, sbrp.FrameData, x.id, make([]byte, 27)))
		}
		x.daemon.wantCode(sbrp.CodeDecryptFailed)
		synctest.Wait()
		r.wantSignals(x.id, closed(x.id, sbrp.ReasonError))
		y.talk("untouched")
	})
}

// Data for a session that the daemon does not know is answered once.
func TestUnknownSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		for range 10 {
			r.relay.InjectDaemon(daemonID, sbrp.AppendFrame(nil, sbrp.FrameData, 42, make([]byte, 50)))
		}
		synctest.Wait()
		r.wantSignals(42, closed(42, sbrp.ReasonStateLost))
		x := r.dial(nil)
		_ = x.daemon.Close("policy")
		x.client.wantCode(sbrp.CodeSessionExpired)
		r.relay.InjectDaemon(daemonID, sbrp.AppendFrame(nil, sbrp.FrameData, x.id, make([]byte, 50)))
		synctest.Wait()
		r.wantSignals(x.id, closed(x.id, sbrp.ReasonPolicy))
	})
}

// The reasons of Close at the daemon.
func TestCloseReasons(t *testing.T) {
	for text, want := range map[string]sbrp.Reason{
		"": sbrp.ReasonNone, "client was revoked": sbrp.ReasonNone, "policy": sbrp.ReasonPolicy, "shutdown": sbrp.ReasonShutdown,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, sbrptest.NewRelay(), "", nil)
			x := r.dial(nil)
			_ = x.daemon.Close(text)
			_ = x.daemon.Close("again")
			if err := x.daemon.wantEnd(); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), text) {
				t.Errorf("session ended with %v, want net.ErrClosed with %q", err, text)
			}
			x.client.wantCode(sbrp.CodeSessionExpired)
			r.wantSignals(x.id, closed(x.id, want))
		})
	}
}

// A session is closed when Accept returns.
func TestAcceptReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) { c.Accept = func(*endpoint.Session) {} })
		c, err := endpoint.DialSession(t.Context(), r.client())
		if err != nil {
			t.Fatal(err)
		}
		pump(t, c).wantCode(sbrp.CodeSessionExpired)
	})
}

// The end of Run tells the relay about each session, and takes bounded time even
// if the relay does not read.
func TestShutdown(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, sbrptest.NewRelay(), "", nil)
			x, y := r.dial(nil), r.dial(nil)
			if frozen {
				r.relay.FreezeDaemon(daemonID, true)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					for x.daemon.Send(packet("fills the socket")) == nil {
					}
				}()
				defer func() { <-sent }()
				time.Sleep(time.Second)
			}
			begun := time.Now()
			if err := r.stop(); err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
			if d := time.Since(begun); d > 3*time.Second || !frozen && d > 0 {
				t.Errorf("shutdown took %v", d)
			}
			for _, e := range []*end{x.daemon, y.daemon} {
				if err := e.wantEnd(); !errors.Is(err, endpoint.ErrDaemonClosed) || !errors.Is(err, net.ErrClosed) {
					t.Errorf("session ended with %v, want ErrDaemonClosed", err)
				}
			}
			if !frozen {
				x.client.wantCode(sbrp.CodeSessionExpired)
				synctest.Wait()
				r.wantSignals(x.id, closed(x.id, sbrp.ReasonShutdown))
				r.wantSignals(y.id, closed(y.id, sbrp.ReasonShutdown))
			}
			if err := r.daemon.Run(t.Context()); err == nil {
				t.Error("Run runs twice")
			}
		})
	}
}

// A side that has used up its sequence numbers ends the session, and the other
// hears of it.
func exhaustion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x, y := r.dial(nil), r.dial(nil)
		x.client.Exhaust()
		if err := x.client.wantEnd(); !errors.Is(err, e2ee.ErrExhausted) {
			t.Errorf("client's session ended with %v, want ErrExhausted", err)
		}
		x.daemon.wantCode(sbrp.CodeSessionEnded)
		y.daemon.Exhaust()
		if err := y.daemon.wantEnd(); !errors.Is(err, e2ee.ErrExhausted) {
			t.Errorf("daemon's session ended with %v, want ErrExhausted", err)
		}
		y.client.wantCode(sbrp.CodeSessionExpired)
		r.wantSignals(y.id, closed(y.id, sbrp.ReasonError))
	})
}

// A relay that asks about sessions without end and does not read the answers is
// given up, not fed with memory.
func TestSignalsUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", func(c *endpoint.DaemonConfig) { c.MaxSessions = 4 })
		x := r.dial(nil)
		r.relay.FreezeDaemon(daemonID, true)
		for i := 0; i < 5000 && r.relay.TellDaemon(daemonID, sbrp.SessionID(i+1000), sbrp.CodeSessionPending); i++ {
		}
		x.daemon.wantPath(true, 1)
		if n := r.daemon.Stats().Losses; n != 1 {
			t.Errorf("%d WebSockets lost, want 1", n)
		}
	})
}
