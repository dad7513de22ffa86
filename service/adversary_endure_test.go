package service

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/sbrp"
	"culvert/sbrp/chaos"
	"culvert/sbrp/sbrptest"
)

// spoiling is one thing that is done to one frame of a session.
type spoiling struct {
	to  sbrp.Role
	typ sbrp.FrameType
	do  func(d sbrptest.Delivery) [][]byte
}

// mostAtOnce is how many clients connect at once: with the links that failed attempts leave behind, well below what a daemon
// keeps for one client.
const mostAtOnce = 24

// endure has the adversary do all of these, one in each session, while clients connect, many at once, and try again until
// they get through.
func (a *arena) endure(all []spoiling) error {
	a.patience = 4 * testTimeout // one client may meet several, each of which can cost it some seconds
	var mu sync.Mutex
	met := make(map[sbrp.SessionID]bool)
	left := slices.Clone(all)
	a.cheat.Deliver(func(d sbrptest.Delivery) [][]byte {
		mu.Lock()
		i := slices.IndexFunc(left, func(s spoiling) bool { return s.to == d.To && s.typ == d.Frame.Type })
		if i < 0 || met[d.SessionID] {
			mu.Unlock()
			return [][]byte{d.Message}
		}
		met[d.SessionID] = true
		do := left[i].do
		left = slices.Delete(left, i, i+1)
		mu.Unlock()
		return do(d)
	})
	for range len(all) {
		var g errgroup.Group
		for range min(len(all), mostAtOnce) {
			g.Go(func() error { return a.call(DialerOptions{}) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		mu.Lock()
		n := len(left)
		mu.Unlock()
		if n == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d of %d were never done", len(left), len(all))
}

// quickRelay is a relay that gives up sooner than others on a client without a handshake: no later than the client gives up on
// a HELLO without an answer, and late enough for a busy machine.
func quickRelay(o *RelayOptions) { o.Limits.HandshakeTimeout = 10 * time.Second }

// enduredThreats are a relay's that cost attempts, and no more.
func enduredThreats() []threat {
	const again = "costs that attempt; the next one gets through"
	client, daemon := sbrp.RoleClient, sbrp.RoleDaemon
	return []threat{
		{who: "relay", does: "flips a bit of the frame's header of HandshakeInit, HandshakeAccept, HELLO and WELCOME, each of its bytes in turn", then: again, relay: quickRelay, waits: true, act: func(a *arena) error {
			var all []spoiling
			for at := range sbrp.HeaderSize {
				if testing.Short() && at%4 != 1 {
					continue
				}
				do := func(d sbrptest.Delivery) [][]byte { return flip(d, at) }
				all = append(all, spoiling{daemon, sbrp.FrameHandshakeInit, do}, spoiling{client, sbrp.FrameHandshakeAccept, do},
					spoiling{daemon, sbrp.FrameData, do}, spoiling{client, sbrp.FrameData, do})
			}
			return a.endure(all)
		}},
		{who: "relay", does: "cuts HandshakeInit short: the frame, and its payload, at each of its bytes", then: again, relay: quickRelay, act: func(a *arena) error {
			var all []spoiling
			for at := range sbrp.HeaderSize + sbrp.InitSize {
				all = append(all, spoiling{daemon, sbrp.FrameHandshakeInit, func(d sbrptest.Delivery) [][]byte { return [][]byte{d.Message[:at]} }})
			}
			for size := range sbrp.InitSize {
				all = append(all, spoiling{daemon, sbrp.FrameHandshakeInit, func(d sbrptest.Delivery) [][]byte { return [][]byte{chaos.Truncate(d.Frame, size)} }})
			}
			return a.endure(all)
		}},
		{who: "relay", does: "says each code of a session that there is not, a session's code of none, and a connection's of a session", then: "costs time at most", waits: true, act: func(a *arena) error {
			all, err := a.openAll(len(relayCodes))
			if err != nil {
				return err
			}
			for i, id := range a.cheat.Sessions() {
				c := relayCodes[i]
				for _, of := range []sbrp.SessionID{id ^ 1, 0, id} {
					if c.SessionScoped() && of == id {
						continue // that is another row's
					}
					msg := sbrp.AppendFrame(nil, sbrp.FrameControl, of, binary.BigEndian.AppendUint16(nil, uint16(c)))
					a.cheat.ToClient(id, msg)
					a.cheat.ToDaemon(a.daemonID, msg)
				}
			}
			return finishAll(all)
		}},
		{who: "relay", does: "says each code to a client that it has told to pause, or to wait for its daemon", then: "costs time at most", act: func(a *arena) error {
			for _, state := range []sbrp.Code{sbrp.CodeSessionPaused, sbrp.CodeSessionPending} {
				for _, c := range relayCodes {
					err := a.meanwhile(func() {
						for _, id := range a.cheat.Sessions() {
							for _, say := range []sbrp.Code{state, c, sbrp.CodeSessionResumed} {
								a.cheat.ToClient(id, chaos.Say(say, id))
							}
						}
					})
					if err != nil {
						return fmt.Errorf("%v, then %v: %w", state, c, err)
					}
				}
			}
			return nil
		}},
		{who: "relay", does: "says each code to both ends as a connection is being closed", then: "the connection had ended in order, and the next one begins", act: func(a *arena) error {
			for _, c := range relayCodes {
				conv, err := a.open(DialerOptions{})
				if err != nil {
					return fmt.Errorf("%v: %w", c, err)
				}
				if err := conv.talk(); err != nil {
					return err
				}
				ids := a.cheat.Sessions()
				closed := make(chan error, 1)
				go func() { closed <- conv.conn.Close() }() // waited for below
				for _, id := range ids {
					a.cheat.ToClient(id, chaos.Say(c, id))
					a.cheat.ToDaemon(a.daemonID, chaos.Say(c, id))
				}
				if err := errors.Join(<-closed, conv.end()); err != nil {
					return fmt.Errorf("%v: %w", c, err)
				}
			}
			return a.attempt()
		}},
		{who: "relay", does: "keeps HandshakeAccept back for a while, and delivers it", then: "late", act: func(a *arena) error {
			a.deliver(client, sbrp.FrameHandshakeAccept, func(d sbrptest.Delivery) [][]byte {
				<-time.After(300 * time.Millisecond)
				return [][]byte{d.Message}
			})
			return a.attempt()
		}},
		{who: "relay", does: "answers the request for a WebSocket itself: with a page, a redirect elsewhere, another protocol, a wrong key", code: CodeRelay, name: "relay_refused", then: "no token goes elsewhere; tried again, unless --once", act: (*arena).noWebSocket},
	}
}

// noWebSocket has the relay answer requests for a WebSocket with something else.
func (a *arena) noWebSocket() error {
	elsewhere := make(chan string, 100)
	trap := startTrap(a.t, elsewhere)
	const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
	var errs []error
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 302 Found\r\nLocation: " + trap + "\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + trap + "\r\nContent-Length: 0\r\n\r\n",
		switching + "Upgrade: h2c\r\n\r\n",
		switching + "Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
		"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno",
	} {
		a.cheat.Instead(func(w http.ResponseWriter, r *http.Request) bool {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				a.t.Error(err)
				return true
			}
			_, _ = io.WriteString(conn, answer) // who has gone has seen enough
			_ = conn.Close()                    // nothing follows
			return true
		})
		errs = append(errs, a.attempt())
	}
	a.cheat.Instead(nil)
	select {
	case path := <-elsewhere:
		return fmt.Errorf("the client has asked elsewhere for %s", path)
	default:
		return same(errs...)
	}
}
