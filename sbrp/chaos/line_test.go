package chaos

import (
	"encoding/binary"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// arrivals records when messages arrive.
type arrivals struct {
	mu  sync.Mutex
	got []int
	at  []time.Duration
}

// send adds messages of size bytes to a line by this SPEC, all at once, and waits until they have arrived.
func send(t *testing.T, text string, n, size int, hold time.Duration) *arrivals {
	t.Helper()
	a := &arrivals{}
	begin := time.Now()
	var wg sync.WaitGroup
	done := make(chan struct{})
	l := newLine(spec(t, text), 1, func(b []byte) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.got, a.at = append(a.got, int(binary.BigEndian.Uint16(b))), append(a.at, time.Since(begin))
	}, func(run func()) bool { wg.Go(run); return true }, done)
	for i := range n {
		b := make([]byte, size)
		binary.BigEndian.PutUint16(b, uint16(i))
		until := time.Time{}
		if hold > 0 {
			until = begin.Add(hold)
		}
		l.add(b, until)
	}
	wg.Wait()
	return a
}

func TestDelayKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := send(t, "delay=200ms±50ms,seed=1", 100, 10, 0)
		for i, n := range a.got {
			if n != i {
				t.Fatalf("in the order %v", a.got)
			}
		}
		within(t, a.at[0], 150*time.Millisecond, 250*time.Millisecond)
		within(t, a.at[99], a.at[0], 250*time.Millisecond)
	})
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := send(t, "rate=100kB/s,seed=1", 100, 10_000, 0)
		within(t, a.at[99], 9990*time.Millisecond, 10010*time.Millisecond)
	})
}

func TestHoldReleasesNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := send(t, "hold=5s,seed=1", 3, 10, 5*time.Second)
		if len(a.got) != 3 || a.got[0] != 2 || a.got[2] != 0 {
			t.Errorf("in the order %v", a.got)
		}
		within(t, a.at[0], 5*time.Second, 5*time.Second)
	})
}

// Too much waits at the relay, and what is over blocks nobody.
func TestLineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		var wg, adding sync.WaitGroup
		l := newLine(spec(t, "delay=1m,seed=1"), 1, func([]byte) {}, func(run func()) bool { wg.Go(run); return true }, done)
		added := 0
		adding.Go(func() {
			for range 2 * lineBytes >> 20 {
				l.add(make([]byte, 1<<20), time.Time{})
				added++
			}
		})
		synctest.Wait()
		l.mu.Lock()
		if l.bytes > lineBytes+1<<20 {
			t.Errorf("%d bytes wait", l.bytes)
		}
		l.mu.Unlock()
		close(done)
		adding.Wait()
		wg.Wait()
		if added != 2*lineBytes>>20 {
			t.Errorf("%d were added", added)
		}
	})
}
