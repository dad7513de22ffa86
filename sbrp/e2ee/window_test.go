package e2ee

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// model is the replay window as section 4 states it, with a set: slow and plain.
type model struct {
	size    uint64
	seen    map[uint64]bool
	highest uint64
}

func newModel(size int) *model { return &model{size: uint64(size), seen: map[uint64]bool{}} }

func (m *model) check(seq uint64) bool {
	if len(m.seen) > 0 && seq <= m.highest && m.highest-seq >= m.size {
		return false
	}
	return !m.seen[seq]
}

func (m *model) mark(seq uint64) {
	m.seen[seq] = true
	m.highest = max(m.highest, seq)
}

// step checks seq in both, marks it if it is new, and compares.
func (m *model) step(t *testing.T, w *Window, seq uint64) {
	t.Helper()
	got, want := w.Check(seq), m.check(seq)
	if got != want {
		t.Fatalf("window of %d with highest %d, seq %d: got %v, want %v", m.size, m.highest, seq, got, want)
	}
	if got {
		w.Mark(seq)
		m.mark(seq)
	}
	if high, any := w.Highest(); any != (len(m.seen) > 0) || high != m.highest {
		t.Fatalf("highest: got %d, want %d", high, m.highest)
	}
	if !w.consistent() {
		t.Fatal("not consistent")
	}
}

func TestWindowAgainstModel(t *testing.T) {
	for _, size := range []int{1, 2, 8, 63, 64, 65, 127, 128, 129, 256, 1000, 1024} {
		rng := rand.New(rand.NewPCG(uint64(size), 1))
		for range 20 {
			w, m := NewWindow(size), newModel(size)
			at := rng.Uint64() >> rng.IntN(64)
			for range 500 {
				switch rng.IntN(10) {
				case 0: // far ahead
					at += rng.Uint64() >> (1 + rng.IntN(63))
				case 1: // just at the edges
					at = m.highest - uint64(size) + uint64(rng.IntN(3)) - 1
				case 2, 3, 4:
					at = m.highest - uint64(rng.IntN(2*size+2))
				default:
					at = m.highest + uint64(rng.IntN(3))
				}
				m.step(t, w, at)
			}
		}
	}
}

// Every jump, word by word and bit by bit, leaves no number of an earlier lap behind.
func TestWindowJumps(t *testing.T) {
	const size = 128
	for jump := range uint64(6 * 64) {
		w, m := NewWindow(size), newModel(size)
		for seq := range uint64(300) {
			m.step(t, w, seq)
		}
		m.step(t, w, 299+jump)
		for seq := range 299 + jump + 3 {
			m.step(t, w, seq)
		}
	}
}

func TestWindowPanicsOnOurOwnMistakes(t *testing.T) {
	mustPanic(t, "NewWindow of 0", func() { NewWindow(0) })
	mustPanic(t, "NewWindow of -1", func() { NewWindow(-1) })
	mustPanic(t, "NewWindow of 16777217", func() { NewWindow(1<<24 + 1) })
	w := NewWindow(64)
	w.Mark(100)
	mustPanic(t, "Mark", func() { w.Mark(100) })
	mustPanic(t, "Mark", func() { w.Mark(36) })
	w.Mark(37)
}

func TestWindowNoticesDamage(t *testing.T) {
	w := NewWindow(64)
	if !w.consistent() {
		t.Error("an empty window is not consistent")
	}
	w.Mark(5)
	clear(w.words)
	if w.consistent() {
		t.Error("a cleared bitmap is consistent")
	}
}

func FuzzWindow(f *testing.F) {
	f.Add(uint16(128), []byte{0, 0, 0, 1, 0, 2, 255, 255, 0, 3})
	f.Add(uint16(64), binary.BigEndian.AppendUint64(nil, 1<<63))
	f.Add(uint16(8), []byte("pseudo random steps, some of them far"))
	f.Fuzz(func(t *testing.T, size uint16, steps []byte) {
		n := int(size)%2048 + 1
		w, m := NewWindow(n), newModel(n)
		for len(steps) >= 2 {
			op, arg := steps[0], uint64(steps[1])
			steps = steps[2:]
			var seq uint64
			switch op % 5 {
			case 0:
				seq = m.highest + arg
			case 1:
				seq = m.highest - arg
			case 2:
				seq = m.highest - uint64(n) + arg - 128
			case 3:
				seq = m.highest + arg<<(op/5)
			case 4:
				seq = arg << (op / 5)
			}
			m.step(t, w, seq)
		}
	})
}

// The cost of a jump does not grow with its length.
func BenchmarkWindowJump(b *testing.B) {
	for _, jump := range []uint64{1, 1024, 1 << 40} {
		b.Run(map[uint64]string{1: "1", 1024: "1024", 1 << 40: "2^40"}[jump], func(b *testing.B) {
			w := NewWindow(WindowSize)
			seq := uint64(0)
			for b.Loop() {
				seq += jump
				w.Mark(seq)
			}
		})
	}
}
