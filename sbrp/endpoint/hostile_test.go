package endpoint_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/sbrptest"
)

// hostility does at random what a relay can do to one session: it drops,
// repeats, holds back and replays Data, and lies about pauses.
type hostility struct {
	mu   sync.Mutex
	rng  *rand.Rand
	held [][]byte
	seen [][]byte
}

func (h *hostility) act(p sbrptest.Passage) [][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.Frame.Type != sbrp.FrameData {
		return [][]byte{p.Message}
	}
	h.seen = append(h.seen, p.Message)
	switch h.rng.IntN(8) {
	case 0:
		return nil
	case 1:
		return [][]byte{p.Message, p.Message}
	case 2:
		h.held = append(h.held, p.Message)
		return nil
	case 3:
		out := append([][]byte{p.Message}, h.held...)
		h.held = nil
		return out
	case 4:
		return [][]byte{h.seen[h.rng.IntN(len(h.seen))], p.Message}
	default:
		return [][]byte{p.Message}
	}
}

// What arrives was sent, unchanged and at most once, whatever the relay does; and
// what ends, ends with a reason. (A frame that is sent back to its sender has the
// wrong direction, and ends the session.)
func TestHostileRelay(t *testing.T) {
	const seeds, messages = 60, 150
	hints := []sbrp.Code{sbrp.CodeSessionPaused, sbrp.CodeSessionPending, sbrp.CodeSessionResumed, sbrp.CodeRateLimited, sbrp.CodeSessionResumed}
	total := 0
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, sbrptest.NewRelay(), "", nil)
			up := &hostility{rng: rand.New(rand.NewPCG(seed, 1))}
			down := &hostility{rng: rand.New(rand.NewPCG(seed, 2))}
			r.relay.Script(func(p sbrptest.Passage) [][]byte {
				if p.From == sbrp.RoleClient {
					return up.act(p)
				}
				return down.act(p)
			})
			x := r.dial(nil)
			rng := rand.New(rand.NewPCG(seed, 3))
			for i := range messages {
				for _, e := range []*end{x.client, x.daemon} {
					if err := e.Send(packet(fmt.Sprintf("%s %d", e.name, i))); err != nil {
						t.Fatalf("seed %d: %s: Send = %v", seed, e.name, err)
					}
				}
				switch rng.IntN(20) {
				case 0:
					r.relay.TellClient(x.id, hints[rng.IntN(len(hints))])
				case 1:
					r.relay.TellDaemon(daemonID, x.id, hints[rng.IntN(len(hints))])
				case 2:
					r.relay.CutDaemon(daemonID)
				case 3:
					time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
				}
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			for _, e := range []*end{x.client, x.daemon} {
				from := map[string]string{"client": "daemon", "daemon": "client"}[e.name]
				var got []string
				for len(e.got) > 0 {
					got = append(got, <-e.got)
				}
				for _, m := range got {
					if !strings.HasPrefix(m, from+" ") {
						t.Errorf("seed %d: %s received %q", seed, e.name, m)
					}
				}
				sorted := slices.Sorted(slices.Values(got))
				if len(slices.Compact(sorted)) != len(got) {
					t.Errorf("seed %d: %s received something twice", seed, e.name)
				}
				total += len(got)
				if e.Err() != nil {
					t.Errorf("seed %d: %s: session ended: %v", seed, e.name, e.Err())
				}
			}
		})
	}
	// A lie may stop a session for good; most messages must pass all the same.
	if total < seeds*messages/2 {
		t.Errorf("%d messages received in all, want at least a quarter of %d", total, 2*seeds*messages)
	}
}

// A frame sent back to its sender has the wrong direction: that session ends, as
// with every forgery.
func reflectedData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.From == sbrp.RoleClient && p.Frame.Type == sbrp.FrameData {
				r.relay.InjectClient(p.SessionID, p.Message)
			}
			return [][]byte{p.Message}
		})
		x := r.dial(nil)
		x.client.send("mirror")
		x.client.wantCode(sbrp.CodeDecryptFailed)
	})
}

// A session's frames given to another session of the same daemon do not open
// there.
func TestCrossedSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, sbrptest.NewRelay(), "", nil)
		x, y := r.dial(nil), r.dial(nil)
		r.relay.Script(func(p sbrptest.Passage) [][]byte {
			if p.SessionID == x.id && p.Frame.Type == sbrp.FrameData {
				return [][]byte{sbrp.AppendFrame(nil, sbrp.FrameData, y.id, p.Frame.Payload)}
			}
			return [][]byte{p.Message}
		})
		x.client.send("for x alone")
		y.daemon.wantCode(sbrp.CodeDecryptFailed)
		if x.daemon.Err() != nil {
			t.Errorf("the session whose frame was taken ended: %v", x.daemon.Err())
		}
		if s := x.client.State(); s != endpoint.Active {
			t.Errorf("its client is %v, want active", s)
		}
	})
}
