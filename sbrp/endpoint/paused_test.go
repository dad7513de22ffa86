package endpoint_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
	"culvert/sbrp/wsconn"
)

// What the relay says about a session, and what becomes of it at the client.
func hintsAtClient(t *testing.T) {
	type step struct {
		code sbrp.Code
		up   bool
		n    uint32 // resumes
	}
	const (
		paused, pending, resumed = sbrp.CodeSessionPaused, sbrp.CodeSessionPending, sbrp.CodeSessionResumed
		limited                  = sbrp.CodeRateLimited
	)
	tests := []struct {
		name  string
		steps []step
		stale uint64
	}{
		{"pause, resume", []step{{paused, false, 0}, {resumed, true, 1}}, 0},
		{"pause, pending, resume", []step{{paused, false, 0}, {pending, false, 0}, {resumed, true, 1}}, 0},
		{"pending without pause", []step{{pending, false, 0}, {resumed, true, 1}}, 0},
		{"pending, pause again", []step{{paused, false, 0}, {pending, false, 0}, {paused, false, 0}, {resumed, true, 1}}, 0},
		{"resume without pause", []step{{resumed, true, 0}, {resumed, true, 0}}, 2},
		{"pause twice", []step{{paused, false, 0}, {paused, false, 0}, {resumed, true, 1}}, 1},
		{"slow down", []step{{limited, true, 0}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, sbrptest.NewRelay(), "", nil)
				x := r.dial(nil)
				for i, s := range tt.steps {
					r.relay.TellClient(x.id, s.code)
					synctest.Wait()
					if up, n, _ := x.client.Path(); up != s.up || n != s.n {
						t.Fatalf("after step %d (%v): path up %v, %d resumes, want %v, %d", i, s.code, up, n, s.up, s.n)
					}
				}
				if got := x.client.Stats().StaleHints; got != tt.stale {
					t.Errorf("%d stale hints counted, want %d", got, tt.stale)
				}
				x.talk("afterwards")
			})
		})
	}
}

// Every code that ends a session does, with the code in the error; every other
// does not.
func codeAtClient(t *testing.T, c sbrp.Code) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		r.relay.TellClient(x.id, c)
		synctest.Wait()
		if !c.Terminal() && c != sbrp.CodeSessionEnded {
			if x.client.Err() != nil {
				t.Errorf("session ended: %v", x.client.Err())
			}
			return
		}
		x.client.wantCode(c)
		if _, ok := errors.AsType[*sbrp.ControlError](x.client.err); !ok {
			t.Errorf("Receive's error %v holds no *sbrp.ControlError", x.client.err)
		}
		if s := x.client.State(); s != endpoint.Reconnecting {
			t.Errorf("state = %v, want reconnecting", s)
		}
	})
}

// Codes outside the protocol, local codes and empty Control frames are no reason
// for anything.
func oddControlFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		frames := [][]byte{
			sbrp.AppendFrame(nil, sbrp.FrameControl, 0, []byte{0x77, 0x77, 'h', 'i'}),
			sbrp.AppendFrame(nil, sbrp.FrameControl, x.id, []byte{0xE0, 0x04}),                    // decrypt_failed is for ourselves to say
			sbrp.AppendFrame(nil, sbrp.FrameControl, x.id+1, []byte{0x03, 0x02}),                  // session_expired of another session
			sbrp.AppendFrame(nil, sbrp.FrameHandshakeAccept, x.id, make([]byte, sbrp.AcceptSize)), // a second one
			sbrp.AppendFrame(nil, sbrp.FrameHandshakeInit, x.id, make([]byte, sbrp.InitSize)),
			sbrp.AppendFrame(nil, sbrp.FrameData, x.id+1, make([]byte, 100)),
			sbrp.AppendSignal(nil, x.id, sbrp.SignalClose, sbrp.ReasonNone),
			sbrp.AppendPong(nil, nil),
			sbrp.AppendPing(nil, []byte("12345678")),
		}
		for i, f := range frames {
			r.relay.InjectClient(x.id, f)
			if i != 3 && i != 4 {
				r.relay.InjectDaemon(daemonID, f)
			}
		}
		synctest.Wait()
		x.talk("afterwards")
		if s := x.client.Stats(); s.UnknownControls != 2 || s.Misdirected != 5 {
			t.Errorf("client's Stats = %+v, want 2 unknown codes, 5 misdirected frames", s)
		}
	})
}

// A message that is no frame ends a client's WebSocket.
func TestMalformedAtClient(t *testing.T) {
	for name, msg := range map[string][]byte{
		"empty":     {},
		"short":     {3, 0, 0},
		"type":      append([]byte{0x7f}, make([]byte, 12)...),
		"truncated": sbrp.AppendFrame(nil, sbrp.FrameData, 1, make([]byte, 50))[:40],
		"too large": make([]byte, sbrp.MaxFrame+1),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, sbrptest.NewRelay(), "", nil)
				x := r.dial(nil)
				r.relay.InjectClient(x.id, msg)
				err := x.client.wantEnd()
				if _, ok := errors.AsType[*sbrp.Error](err); !ok && !errors.Is(err, wsconn.ErrTooLarge) {
					t.Errorf("session ended with %v, want an *sbrp.Error", err)
				}
			})
		})
	}
}

// A session that is paused and never resumed is given up after MaxPaused, also
// if the relay keeps it warm with hints.
func TestMaxPaused(t *testing.T) {
	for _, hints := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, sbrptest.NewRelay(), "", nil)
			x := r.dial(nil)
			begun := time.Now()
			r.relay.TellClient(x.id, sbrp.CodeSessionPaused)
			if hints {
				go func() {
					for i := range 20 {
						code := sbrp.CodeSessionPending
						if i%2 == 1 {
							code = sbrp.CodeSessionPaused
						}
						r.relay.TellClient(x.id, code)
						time.Sleep(7 * time.Second)
					}
				}()
				defer time.Sleep(200 * time.Second) // lets the hints end
			}
			x.client.wantCode(sbrp.CodeSessionExpired)
			if d := time.Since(begun); d != 90*time.Second {
				t.Errorf("given up after %v, want 90 s", d)
			}
		})
	}
}

// A short pause counts anew each time.
func TestMaxPausedCountsFromThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(func(c *endpoint.ClientConfig) { c.MaxPaused = 10 * time.Second })
		for range 5 {
			r.relay.TellClient(x.id, sbrp.CodeSessionPaused)
			time.Sleep(9 * time.Second)
			r.relay.TellClient(x.id, sbrp.CodeSessionResumed)
			time.Sleep(9 * time.Second)
		}
		x.talk("afterwards")
	})
}

// rate_limited makes Send wait for a moment, and loses nothing.
func rateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x := r.dial(nil)
		for range 20 {
			r.relay.TellClient(x.id, sbrp.CodeRateLimited)
			r.relay.TellDaemon(daemonID, x.id, sbrp.CodeRateLimited)
			synctest.Wait()
			begun := time.Now()
			x.talk("slowly")
			if d := time.Since(begun); d < 50*time.Millisecond || d > 10*time.Second {
				t.Fatalf("a message each way took %v, want a moment", d)
			}
		}
		// A pause meanwhile ends the waiting: the message is dropped.
		r.relay.TellClient(x.id, sbrp.CodeRateLimited)
		synctest.Wait()
		sent := make(chan error)
		go func() { sent <- x.client.Send(packet("dropped")) }()
		synctest.Wait()
		r.relay.TellClient(x.id, sbrp.CodeSessionPaused)
		synctest.Wait()
		select {
		case err := <-sent:
			if err != nil {
				t.Errorf("Send = %v, want nil", err)
			}
		default:
			t.Error("Send still waits although the path is down")
		}
		// So does the end.
		r.relay.TellClient(x.id, sbrp.CodeSessionResumed)
		r.relay.TellClient(x.id, sbrp.CodeRateLimited)
		synctest.Wait()
		time.Sleep(10 * time.Second)
		r.relay.TellClient(x.id, sbrp.CodeRateLimited)
		synctest.Wait()
		go func() { sent <- x.client.Send(packet("never")) }()
		synctest.Wait()
		_ = x.client.Close("enough")
		if err := <-sent; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send after Close = %v, want net.ErrClosed", err)
		}
	})
}

// The ways in which a dial fails before the session is active.
func TestDialFailures(t *testing.T) {
	other := e2ee.GenerateIdentity().PublicKey()
	tests := []struct {
		name   string
		relay  func(*sbrptest.Relay)
		config func(*endpoint.ClientConfig)
		check  func(error) bool
		final  bool
	}{
		{"401", refuse(401, "unauthorized"), nil, isDial(401, "unauthorized"), false},
		{"403", refuse(403, "forbidden"), nil, isDial(403, "forbidden"), false},
		{"409", refuse(409, "session_exists"), nil, isDial(409, "session_exists"), false},
		{"daemon offline", nil, func(c *endpoint.ClientConfig) { c.Token = sbrptest.ClientToken("d-2", sbrp.NewSessionID()) }, isCode(sbrp.CodeDaemonOffline), false},
		{"changed identity", nil, func(c *endpoint.ClientConfig) { c.Expected = other }, func(err error) bool {
			ic, ok := errors.AsType[*e2ee.IdentityChangedError](err)
			return ok && ic.Expected.Equal(other) && isCode(sbrp.CodeIdentityKeyChanged)(err)
		}, true},
		{"another daemon's id", nil, func(c *endpoint.ClientConfig) { c.DaemonID = "d-2" }, isCode(sbrp.CodeHandshakeFailed), true},
		{"forged accept", func(r *sbrptest.Relay) {
			r.Script(func(p sbrptest.Passage) [][]byte {
				if p.Frame.Type == sbrp.FrameHandshakeAccept {
					p.Message[sbrp.HeaderSize+40] ^= 1
				}
				return [][]byte{p.Message}
			})
		}, nil, isCode(sbrp.CodeHandshakeFailed), true},
		{"accept of a wrong size", func(r *sbrptest.Relay) {
			r.Script(func(p sbrptest.Passage) [][]byte {
				if p.Frame.Type == sbrp.FrameHandshakeAccept {
					return [][]byte{sbrp.AppendFrame(nil, sbrp.FrameHandshakeAccept, p.SessionID, p.Frame.Payload[:100])}
				}
				return [][]byte{p.Message}
			})
		}, nil, isCode(sbrp.CodeMalformedFrame), false},
		{"low-order point", func(r *sbrptest.Relay) {
			r.Script(func(p sbrptest.Passage) [][]byte {
				if p.Frame.Type == sbrp.FrameHandshakeInit {
					return [][]byte{sbrp.AppendFrame(nil, sbrp.FrameHandshakeInit, p.SessionID, make([]byte, sbrp.InitSize))}
				}
				return [][]byte{p.Message}
			})
		}, nil, isCode(sbrp.CodeSessionExpired), false},
		{"session ended by the relay", func(r *sbrptest.Relay) {
			r.Script(func(p sbrptest.Passage) [][]byte {
				if p.Frame.Type == sbrp.FrameHandshakeInit {
					go r.TellClient(p.SessionID, sbrp.CodeSessionEnded)
					return nil
				}
				return [][]byte{p.Message}
			})
		}, nil, isCode(sbrp.CodeSessionEnded), false},
		{"cut", func(r *sbrptest.Relay) {
			r.Script(func(p sbrptest.Passage) [][]byte {
				if p.Frame.Type == sbrp.FrameHandshakeInit {
					go r.CutClient(p.SessionID)
				}
				return nil
			})
		}, nil, func(err error) bool { return errors.Is(err, wsconn.ErrLost) }, false},
		{"own timeout", drop, func(c *endpoint.ClientConfig) { c.HandshakeTimeout = time.Second }, func(err error) bool {
			return isCode(sbrp.CodeHandshakeTimeout)(err) && errors.Is(err, os.ErrDeadlineExceeded)
		}, false},
		{"no token", nil, func(c *endpoint.ClientConfig) { c.Token = "" }, anyError, false},
		{"odd token", nil, func(c *endpoint.ClientConfig) { c.Token = "a.b.c" }, anyError, false},
		{"daemon's token", nil, func(c *endpoint.ClientConfig) { c.Token = sbrptest.DaemonToken(daemonID, 1) }, anyError, false},
		{"no URL", nil, func(c *endpoint.ClientConfig) { c.URL = "" }, anyError, false},
		{"no daemon id", nil, func(c *endpoint.ClientConfig) { c.DaemonID = "" }, anyError, false},
		{"no key to expect", nil, func(c *endpoint.ClientConfig) { c.Expected = sbrp.PublicKey{} }, anyError, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, sbrptest.NewRelay(), "", nil)
				if tt.relay != nil {
					tt.relay(r.relay)
				}
				c := r.client()
				if tt.config != nil {
					tt.config(&c)
				}
				s, err := endpoint.DialSession(t.Context(), c)
				if err == nil {
					_ = s.Close("unwanted")
					t.Fatal("DialSession succeeded")
				}
				if !tt.check(err) {
					t.Errorf("DialSession = %v (%T)", err, err)
				}
				if endpoint.Final(err) != tt.final {
					t.Errorf("Final(%v) = %v, want %v", err, !tt.final, tt.final)
				}
			})
		})
	}
}

// The same refusals over real HTTP.
func refusedOverSockets(t *testing.T) {
	relay := sbrptest.NewRelay()
	r := start(t, relay, relay.Listen(t), nil)
	for status, code := range map[int]string{401: "unauthorized", 403: "forbidden", 409: "session_exists"} {
		refuse(status, code)(relay)
		if _, err := endpoint.DialSession(t.Context(), r.client()); !isDial(status, code)(err) {
			t.Errorf("DialSession = %v, want %d %s", err, status, code)
		}
	}
}

// What a relay ought not to say before HandshakeAccept does no harm.
func TestNoiseBeforeAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		answered := make(chan string, 1)
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			switch p.Frame.Type {
			case sbrp.FrameHandshakeInit:
				id := p.SessionID
				for _, noise := range [][]byte{
					sbrp.AppendPing(nil, []byte("early")),
					sbrp.AppendPong(nil, nil),
					sbrp.AppendControl(nil, id, sbrp.CodeSessionPaused, ""),
					sbrp.AppendControl(nil, 0, sbrp.CodeRateLimited, ""),
					sbrp.AppendControl(nil, id+1, sbrp.CodeSessionExpired, ""),
					sbrp.AppendFrame(nil, sbrp.FrameControl, 0, []byte{0x66, 0x66}),
					sbrp.AppendFrame(nil, sbrp.FrameData, id, make([]byte, 60)),
					sbrp.AppendFrame(nil, sbrp.FrameHandshakeAccept, id+1, make([]byte, sbrp.AcceptSize)),
				} {
					r.relay.InjectClient(id, noise)
				}
			case sbrp.FramePong:
				if p.From == sbrp.RoleClient {
					answered <- string(p.Frame.Payload)
				}
			}
			return [][]byte{p.Message}
		})
		x := r.dial(nil)
		if got := <-answered; got != "early" {
			t.Errorf("the early Ping was answered with %q", got)
		}
		x.client.wantPath(true, 0)
		x.talk("all the same")
		if s := x.client.Stats(); s.StaleHints != 2 || s.UnknownControls != 1 || s.Misdirected != 4 {
			t.Errorf("Stats = %+v, want 2 hints, 1 unknown code and 4 misdirected frames", s)
		}
	})
}

// A context that ends in the middle of the handshake ends the dial, with its
// cause.
func TestDialContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		drop(r.relay)
		cause := errors.New("the user went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if _, err := endpoint.DialSession(ctx, r.client()); !errors.Is(err, cause) {
			t.Errorf("DialSession = %v, want %v", err, cause)
		}
	})
}

func refuse(status int, code string) func(*sbrptest.Relay) {
	return func(r *sbrptest.Relay) {
		r.Refuse(func(sbrp.Role, string) *sbrptest.Refusal { return &sbrptest.Refusal{Status: status, Code: code} })
	}
}

func drop(r *sbrptest.Relay) {
	r.Script(func(sbrptest.Passage) [][]byte { return nil })
}

func anyError(err error) bool { return err != nil }

func isCode(c sbrp.Code) func(error) bool {
	return func(err error) bool {
		got, ok := sbrp.CodeOf(err)
		return ok && got == c
	}
}

func isDial(status int, code string) func(error) bool {
	return func(err error) bool {
		de, ok := errors.AsType[*wsconn.DialError](err)
		return ok && de.Status == status && de.Code == code
	}
}
