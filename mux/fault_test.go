package mux

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"culvert/mux/muxtest"
)

// TestFaultAtEveryMessage has one fault of each kind befall each message in turn, in both directions, and wants all bytes
// to arrive within the time that such a fault may cost.
func TestFaultAtEveryMessage(t *testing.T) {
	kinds := []struct {
		name string
		act  muxtest.Action
		most time.Duration // fake time that a run may take
	}{
		{"drop", muxtest.Action{Drop: true}, time.Second},
		{"twice", muxtest.Action{Twice: true}, time.Second},
		{"late", muxtest.Action{Delay: 700 * time.Millisecond}, 3 * time.Second},
		{"overtaken", muxtest.Action{Hold: 2}, time.Second},
		{"cut", muxtest.Action{Cut: true}, time.Second},
		{"pause", muxtest.Action{Pause: 20 * time.Second}, 21 * time.Second},
		{"long pause", muxtest.Action{Pause: 100 * time.Second}, maxPathDown + time.Second},
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for side := range 2 {
					for n := 0; ; n++ {
						hit := false
						start := time.Now()
						run, err := runModel(schedule{pick: steady, faults: func(carrier int) muxtest.Fault {
							return func(s, m int, _ []byte) muxtest.Action {
								if carrier == 0 && s == side && m == n {
									hit = true
									return kind.act
								}
								return muxtest.Action{}
							}
						}})
						if err != nil || run.ended != nil {
							t.Fatalf("%s of message %d from side %d: %v, link ended: %v", kind.name, n, side, err, run.ended)
						}
						most := kind.most
						if n == 0 {
							most += handshakeTimeout // HELLO or WELCOME was lost
						}
						if took := time.Since(start); took > most {
							t.Fatalf("%s of message %d from side %d cost %v, at most %v", kind.name, n, side, took, most)
						}
						if !hit {
							if n < 10 {
								t.Fatalf("side %d sends only %d messages", side, n)
							}
							break
						}
					}
				}
			})
		})
	}
}

// steady makes a schedule of some 20 messages each way without pauses in writing.
func steady(_, side, n int) uint64 {
	switch {
	case n == pickBytes:
		return 3 | 59_999<<8 // 59,999 bytes
	case n == pickWindow:
		return 1 | 1<<8 // 8 KiB
	case n == pickBackoff:
		return 200
	case n == pickReplace, n == pickHint:
		return 1 // none
	case n >= pickWrite:
		return uint64(1<<20 + 1500*(n-pickWrite))
	default:
		return 0
	}
}

// TestReplaceAtEveryMessage gives the link a new carrier while the old one works, at each message in turn.
func TestReplaceAtEveryMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := range 40 {
			at := time.Duration(n) * 10 * time.Millisecond
			run, err := runModel(schedule{pick: func(carrier, side, m int) uint64 {
				if m == pickReplace && carrier < 3 {
					return uint64(at/time.Millisecond) << 8
				}
				return steady(carrier, side, m)
			}, faults: func(int) muxtest.Fault {
				return func(_, m int, _ []byte) muxtest.Action { return muxtest.Action{Delay: 10 * time.Millisecond} }
			}})
			if err != nil || run.ended != nil {
				t.Fatalf("replaced after %v: %v, link ended: %v", at, err, run.ended)
			}
		}
	})
}

// FuzzSchedule drives the model by bytes: what befalls the messages is read from them in turn.
func FuzzSchedule(f *testing.F) {
	for seed := range byte(8) {
		b := make([]byte, 64)
		for i := range b {
			b[i] = byte(mix(uint64(seed)<<8 | uint64(i)))
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) == 0 || len(script) > 1<<12 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			if _, err := runModel(scriptSchedule(script)); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// scriptSchedule takes what befalls each message from two bytes of the script, which the two directions read in turns,
// and the rest from its first bytes. Once the script is used up nothing befalls any more.
func scriptSchedule(script []byte) schedule {
	at := func(i int) uint64 { return uint64(script[i%len(script)]) }
	pick := func(carrier, side, n int) uint64 {
		i := (carrier + 1) * 32 * 4
		return at(i+side) | at(i+n%7+1)<<8 | at(i+n%11+3)<<16 | at(i+2*side+5)<<24
	}
	return schedule{pick: pick, faults: func(carrier int) muxtest.Fault {
		return func(side, n int, _ []byte) muxtest.Action {
			i := carrier*32*4 + 4*n + 2*side
			if i+1 >= len(script) || script[i]%4 != 0 {
				return muxtest.Action{}
			}
			return act(0xff, uint64(script[i])/4%6|uint64(script[i+1])<<8<<8)
		}
	}}
}

func TestScheduleReproduces(t *testing.T) {
	a, b := seededSchedule(42), seededSchedule(42)
	for n := range 100 {
		if x, y := a.pick(1, n%2, n), b.pick(1, n%2, n); x != y {
			t.Fatal(fmt.Sprint("the same seed gives another schedule at ", n))
		}
	}
}
