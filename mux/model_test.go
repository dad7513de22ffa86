package mux

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"culvert/mux/muxtest"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "run the model test's schedule of this seed alone")
	modelCount = flag.Int("model.count", 0, "run so many schedules of the model test; 0: as many as fit")
	modelTime  = flag.Duration("model.time", 0, "run the model test so long; 0: 25 s, 2 s with -short, 10 s with -race")
)

// schedule is one run of the model: what each side writes, and what befalls each message. All of it is a function of
// pick, which does not depend on the order in which goroutines ask.
type schedule struct {
	pick   func(carrier, side, n int) uint64
	faults func(carrier int) muxtest.Fault // nil: random ones out of pick
}

// Message numbers under which pick is asked for what is not a message.
const (
	pickRate = 1<<20 + iota
	pickKinds
	pickBytes
	pickWindow
	pickBackoff
	pickReplace
	pickHint
	pickHold
	pickWrite
)

func seededSchedule(seed uint64) schedule {
	return schedule{pick: func(carrier, side, n int) uint64 {
		return mix(mix(seed^uint64(carrier)<<32) ^ uint64(side)<<40 ^ uint64(n))
	}}
}

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fault gives what befalls the messages of one carrier.
func (s schedule) fault(carrier int) muxtest.Fault {
	if s.faults != nil {
		return s.faults(carrier)
	}
	rate := []uint64{0, 10, 30, 100, 300}[s.pick(-1, 0, pickRate)%5] // of 1000
	kinds := s.pick(-1, 0, pickKinds)
	if carrier > 30 {
		rate = min(rate, 10) // the run shall end one day
	}
	return func(side, n int, _ []byte) muxtest.Action {
		r := s.pick(carrier, side, n)
		if r%1000 >= rate {
			return muxtest.Action{}
		}
		return act(kinds, r>>10)
	}
}

// act chooses among the kinds of faults of this run.
func act(kinds, r uint64) muxtest.Action {
	kind := r % 6
	if kinds&(1<<kind) == 0 {
		kind = kinds >> 8 % 4 // never only cuts and pauses
	}
	r >>= 8
	switch kind {
	case 0:
		return muxtest.Action{Drop: true}
	case 1:
		return muxtest.Action{Twice: true}
	case 2:
		return muxtest.Action{Delay: time.Duration(r%4000) * time.Millisecond}
	case 3:
		return muxtest.Action{Hold: int(1 + r%5)}
	case 4:
		return muxtest.Action{Cut: true}
	default:
		return muxtest.Action{Pause: time.Duration(r%100) * time.Second}
	}
}

// modelEnd is one end of the link in a run.
type modelEnd struct {
	s       schedule
	side    int
	want    []byte // what the other side writes
	write   []byte
	read    int // bytes of want that have come
	wrong   string
	link    *link
	started chan struct{} // closed when link is set
	whole   chan struct{} // closed when all of want was read
}

func newModelEnd(s schedule, side int, write, want []byte) *modelEnd {
	return &modelEnd{s: s, side: side, write: write, want: want, started: make(chan struct{}), whole: make(chan struct{})}
}

// run writes and reads until the link ends.
func (e *modelEnd) run(l *link) {
	e.link = l
	close(e.started)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		w := newWaiter()
		for n, rest := 0, e.write; len(rest) > 0; n++ {
			r := e.s.pick(-1, e.side, pickWrite+n)
			part := rest[:min(len(rest), int(1+r%5000))]
			if r>>20%16 == 0 {
				time.Sleep(time.Duration(r>>24%2000) * time.Millisecond)
			}
			if l.reserve(w, len(part), nil, nil) != nil {
				return
			}
			now, err := l.appendData(part, nil, len(part), r>>40%4 == 0 && len(part) < len(rest))
			if now {
				l.sendNow()
			}
			if err != nil {
				return
			}
			rest = rest[len(part):]
		}
	})
	if len(e.want) == 0 {
		close(e.whole)
	}
	for {
		p, err := l.next()
		if err != nil {
			return
		}
		at := e.read
		e.read += len(p)
		if e.read > len(e.want) || string(p) != string(e.want[at:e.read]) {
			e.wrong = fmt.Sprintf("side %d read wrong bytes in [%d, %d) of %d", e.side, at, e.read, len(e.want))
			l.end(&LinkError{Code: CodeInternal, Text: e.wrong}, true)
			return
		}
		if len(p) > 0 && e.read == len(e.want) {
			close(e.whole)
		}
	}
}

// modelRun is what a run told.
type modelRun struct {
	carriers int
	messages int
	ended    error // why the link ended before all was read; nil: all was read
}

var modelData = func() []byte {
	b := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}()

// runModel runs a schedule in the caller's bubble, to its end, and returns what is wrong with the outcome.
func runModel(s schedule) (modelRun, error) {
	var run modelRun
	size := func(side int) []byte {
		r := s.pick(-1, side, pickBytes)
		n := int(r >> 8 % []uint64{1, 200, 20_000, 100_000}[r%4])
		return modelData[side<<18:][:n]
	}
	a, b := newModelEnd(s, 0, size(0), size(1)), newModelEnd(s, 1, size(1), size(0))
	windows := s.pick(-1, 0, pickWindow)
	budget := NewBudget(64 << 20)
	hold := []time.Duration{DefaultHoldTime, DefaultHoldTime, time.Minute, 3 * time.Second}[s.pick(-1, 0, pickHold)%4]
	sign := func([]byte) []byte { return make([]byte, signatureSize) }
	var events eventOrder
	client, err := NewClient(ClientConfig{
		Sign: sign, HoldTime: hold, Budget: budget, OnEvent: events.take,
		WindowMin: 4 << 10 << (windows % 3), WindowMax: 16 << 10 << (windows >> 16 % 3),
	})
	if err != nil {
		return run, err
	}
	var sevents eventOrder
	finished := make(chan struct{})
	server, err := NewServer(ServerConfig{
		Admit: func(context.Context, Hello) (Admission, error) { return Admission{}, nil },
		Handle: func(_ context.Context, session *Session) {
			select {
			case <-session.Done(): // a link whose WELCOME was lost
			case <-a.started:
				if session.l.id == a.link.id {
					b.run(session.l)
				}
				<-session.Done() // a second link: the first has ended
			}
		},
		Budget: budget, WindowMin: 4 << 10 << (windows >> 8 % 3), WindowMax: 16 << 10 << (windows >> 24 % 3), OnEvent: sevents.take,
	})
	if err != nil {
		return run, err
	}
	server.verify = func(ed25519.PublicKey, []byte, []byte) bool { return true } // not what is modelled, and dear
	var clientOnce sync.Once
	var ends sync.WaitGroup
	client.start = func(l *link, _ bool, _ int) (*Session, error) {
		clientOnce.Do(func() { ends.Go(func() { a.run(l) }) })
		return &Session{l: l, stop: func() { <-l.done }}, nil
	}
	server.start = func(l *link, _ bool, _ int) (*Session, error) {
		return &Session{l: l, stop: func() { <-l.done }}, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	ends.Go(func() { _ = client.Run(ctx) })
	ends.Go(func() { _ = server.Run(ctx) })
	var messages atomic.Int64
	var driver sync.WaitGroup
	driver.Go(func() { run.carriers = drive(ctx, s, client, server, finished, &messages) })

	verdict := make(chan error, 1)
	go func() { verdict <- judge(a, b) }()
	err = <-verdict
	close(finished)
	if err == nil && a.link.err() != nil {
		run.ended = a.link.err()
	}
	cancel()
	driver.Wait()
	ends.Wait()
	run.messages = int(messages.Load())
	switch {
	case err != nil:
	case a.wrong != "" || b.wrong != "":
		err = fmt.Errorf("%s %s", a.wrong, b.wrong)
	case budget.Used() != 0:
		err = fmt.Errorf("%d bytes of the budget are still taken", budget.Used())
	case events.wrong() != "":
		err = fmt.Errorf("client's events: %s", events.wrong())
	case sevents.wrong() != "":
		err = fmt.Errorf("server's events: %s", sevents.wrong())
	}
	return run, err
}

// judge waits until all bytes have come, or both ends have ended.
func judge(a, b *modelEnd) error {
	late := time.NewTimer(24 * time.Hour)
	defer late.Stop()
	select {
	case <-a.started:
	case <-late.C:
		return errors.New("the client has no link after a day")
	}
	select {
	case <-b.started:
	case <-a.link.done:
		// WELCOME came after the hold time: the daemon's end was over before the client's began, and never runs.
		if err := a.link.endErr; err.Code != CodeUnknown && err.Code != CodeHoldTime {
			return fmt.Errorf("the client's link ended before the daemon's began: %v", err)
		}
		select {
		case <-a.whole:
			if len(a.want) > 0 {
				return errors.New("the client has read from a link that never began")
			}
		default:
		}
		return nil
	case <-late.C:
		return fmt.Errorf("the daemon has no link after a day; the client's: %v", a.link.err())
	}
	wholeA, wholeB, endA, endB := a.whole, b.whole, a.link.done, b.link.done
	for !(wholeA == nil && wholeB == nil) && !(endA == nil && endB == nil) {
		select {
		case <-wholeA:
			wholeA = nil
		case <-wholeB:
			wholeB = nil
		case <-endA:
			endA = nil
		case <-endB:
			endB = nil
		case <-late.C:
			return fmt.Errorf("neither whole nor ended after a day: read %d of %d and %d of %d; ends: %v, %v",
				a.read, len(a.want), b.read, len(b.want), a.link.err(), b.link.err())
		}
	}
	for _, e := range []*modelEnd{a, b} {
		if err := e.link.endErr; endA == nil && endB == nil && (err.Code == CodeProtocol || err.Code == CodeInternal) {
			return fmt.Errorf("side %d: %v", e.side, err)
		}
	}
	return nil
}

// drive gives the client carriers until the run is over: a new one when the last has ended, sometimes before.
func drive(ctx context.Context, s schedule, client *Client, server *Server, finished <-chan struct{}, messages *atomic.Int64) int {
	var serving sync.WaitGroup
	defer serving.Wait()
	for n := 0; ; n++ {
		fault := s.fault(n)
		counted := func(side, n int, msg []byte) muxtest.Action {
			messages.Add(1)
			return fault(side, n, msg)
		}
		var transcript [32]byte
		binary.BigEndian.PutUint64(transcript[:], uint64(n))
		pair := muxtest.NewPairOf(transcript, minMessage, counted)
		done := make(chan struct{})
		serving.Go(func() { _ = server.Serve(ctx, pair.B) })
		serving.Go(func() {
			_ = client.Serve(ctx, pair.A)
			close(done)
		})
		if r := s.pick(n, 0, pickHint); r%8 == 0 { // a lie of the relay's
			lie := time.AfterFunc(time.Duration(r>>8%500)*time.Millisecond, func() { pair.Lie(r>>20%2 == 0, uint32(r>>24%3)) })
			defer lie.Stop()
		}
		replace := time.NewTimer(1000 * time.Hour)
		if r := s.pick(n, 0, pickReplace); r%4 == 0 && n < 30 {
			replace.Reset(time.Duration(r>>8%2000) * time.Millisecond)
		}
		select {
		case <-done:
		case <-replace.C:
		case <-finished:
			replace.Stop()
			return n + 1
		}
		replace.Stop()
		back := time.NewTimer(time.Duration(s.pick(n, 0, pickBackoff)%3000) * time.Millisecond)
		select {
		case <-back.C:
		case <-finished:
			back.Stop()
			return n + 1
		}
	}
}

// eventOrder checks the order of events of one link.
type eventOrder struct {
	mu   sync.Mutex
	last map[LinkID]EventKind
	bad  string
}

func (o *eventOrder) take(e Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last = make(map[LinkID]EventKind)
	}
	was := o.last[e.Link]
	ok := false
	switch e.Kind {
	case EventConnected:
		ok = was == 0
	case EventHeld:
		ok = was == EventConnected || was == EventResumed
	case EventResumed:
		ok = was == EventHeld
	case EventLost, EventClosed:
		ok = was != EventLost && was != EventClosed
	}
	if !ok && o.bad == "" {
		o.bad = fmt.Sprintf("%v after %v", e.Kind, was)
	}
	o.last[e.Link] = e.Kind
}

func (o *eventOrder) wrong() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bad
}

// TestModel runs random schedules until its time is over. A failure names its seed; -model.seed runs that one again.
func TestModel(t *testing.T) {
	if *modelSeed != 0 {
		synctest.Test(t, func(t *testing.T) {
			run, err := runModel(seededSchedule(*modelSeed))
			t.Logf("%+v", run)
			if err != nil {
				t.Fatalf("seed %d: %v", *modelSeed, err)
			}
		})
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // runs are short-lived and many
	limit := *modelTime
	switch {
	case limit != 0:
	case testing.Short():
		limit = 2 * time.Second
	case raceEnabled:
		limit = 10 * time.Second
	default:
		limit = 25 * time.Second
	}
	start := time.Now()
	base := maphash.Comparable(maphash.MakeSeed(), 0)
	var runs, carriers, messages, ended, failed atomic.Int64
	t.Run("schedules", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for batch := uint64(0); time.Since(start) < limit && failed.Load() == 0; batch++ {
					synctest.Test(t, func(t *testing.T) {
						for i := range uint64(200) {
							if *modelCount > 0 && runs.Load() >= int64(*modelCount) {
								return
							}
							seed := mix(base ^ uint64(worker)<<48 ^ batch<<16 ^ i)
							run, err := runModel(seededSchedule(seed))
							if err != nil {
								failed.Add(1)
								t.Errorf("seed %d: %v (run it again with -model.seed=%d)", seed, err, seed)
								return
							}
							runs.Add(1)
							carriers.Add(int64(run.carriers))
							messages.Add(int64(run.messages))
							if run.ended != nil {
								ended.Add(1)
							}
						}
					})
				}
			})
		}
	})
	t.Logf("%d schedules in %v: %d carriers, %d messages, %d links ended with a reason",
		runs.Load(), time.Since(start).Round(time.Millisecond), carriers.Load(), messages.Load(), ended.Load())
}
