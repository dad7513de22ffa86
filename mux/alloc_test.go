//go:build !race

package mux

import "testing"

// TestSteadyStateAllocatesNothing is not for the race detector, which allocates itself.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	a, attA := attachedLink(t)
	b, attB := attachedLink(t)
	buf := make([]byte, 0, 1<<17)
	chunk := make([]byte, 30<<10)
	w := newWaiter()
	step := func() {
		for range 4 {
			if err := a.reserve(w, len(chunk), nil, nil); err != nil {
				t.Fatal(err)
			}
			_ = a.append(chunk, nil, len(chunk))
			for a.sendable() {
				if _, err := b.take(attB, a.compose(attA, buf)); err != nil {
					t.Fatal(err)
				}
				for b.sendable() {
					if _, err := a.take(attA, b.compose(attB, buf)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	for range 50 {
		step()
	}
	if n := testing.AllocsPerRun(200, step); n > 0.5 {
		t.Errorf("%.2f allocations for 4 messages, want none", n)
	}
}
