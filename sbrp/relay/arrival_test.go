package relay

import (
	"testing"
	"testing/synctest"
	"time"
)

// A client that comes while its daemon is between hearing that it is connected and being found waits for that, and not for long.
func TestClientsWaitForArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sl := &slot{}
		waited := func() time.Duration {
			begin := time.Now()
			sl.awaitArrival()
			return time.Since(begin)
		}
		if d := waited(); d != 0 {
			t.Errorf("waited %v for nobody", d)
		}
		first, second := sl.arrive(), sl.arrive()
		if d := waited(); d != arrivalTime {
			t.Errorf("waited %v for daemons that do not come, want %v", d, arrivalTime)
		}
		time.AfterFunc(100*time.Millisecond, func() { first(); first() })
		time.AfterFunc(300*time.Millisecond, second)
		if d := waited(); d != 300*time.Millisecond {
			t.Errorf("waited %v, want until both have been attached or given up", d)
		}
		if d := waited(); d != 0 {
			t.Errorf("waited %v when it was over", d)
		}
		third := sl.arrive()
		sl.daemon = &daemon{}
		if d := waited(); d != 0 {
			t.Errorf("waited %v though there is a daemon", d)
		}
		third()
	})
}
