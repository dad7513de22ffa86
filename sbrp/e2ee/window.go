package e2ee

import "fmt"

// Window is a replay window (section 4): it knows which of the last size sequence numbers, counted back from the highest seen, were seen.
// Checking and marking cost the same however far a number jumps ahead. Not for concurrent use.
//
// The bitmap is a ring of 64-bit words that is one word longer than the window needs, so that moving ahead clears whole words only.
type Window struct {
	words   []uint64 // bit seq%64 of word (seq/64)%len(words); length is a power of two
	size    uint64
	highest uint64 // the highest seen; nothing was seen yet if !any
	any     bool
}

// NewWindow returns an empty window of exactly size sequence numbers, the highest included. It panics if size is under 1 or over 1<<24 (2 MiB).
func NewWindow(size int) *Window {
	if size < 1 || size > 1<<24 {
		panic(fmt.Sprintf("e2ee: NewWindow of %d, want 1 to %d", size, 1<<24))
	}
	n := 1
	for n < (size+63)/64+1 {
		n *= 2
	}
	return &Window{words: make([]uint64, n), size: uint64(size)}
}

// Check reports whether seq is new: ahead of everything seen, or in the window and not seen. It changes nothing.
func (w *Window) Check(seq uint64) bool {
	if !w.any || seq > w.highest {
		return true
	}
	if w.highest-seq >= w.size {
		return false
	}
	word, bit := w.at(seq)
	return *word&bit == 0
}

// Mark records seq as seen and moves the window if seq is ahead. Mark only what Check has just passed and whose message is genuine: anything else
// panics.
func (w *Window) Mark(seq uint64) {
	if !w.Check(seq) {
		panic("e2ee: Mark of a sequence number that Check refuses")
	}
	switch {
	case !w.any:
		w.any, w.highest = true, seq
	case seq > w.highest:
		w.advance(seq)
	}
	word, bit := w.at(seq)
	*word |= bit
}

// Highest returns the highest sequence number seen, and false if none was.
func (w *Window) Highest() (uint64, bool) { return w.highest, w.any }

// Size returns the window's size.
func (w *Window) Size() int { return int(w.size) }

// advance moves the window to seq: the words between the old and the new highest belong to numbers not seen yet. At most the whole ring is cleared.
func (w *Window) advance(seq uint64) {
	steps := min(seq/64-w.highest/64, uint64(len(w.words)))
	for i := range steps {
		w.words[w.index(seq-64*i)] = 0
	}
	w.highest = seq
}

// consistent reports whether the window can be trusted to go on (section 6): the highest seen is marked.
func (w *Window) consistent() bool {
	if !w.any {
		return true
	}
	word, bit := w.at(w.highest)
	return *word&bit != 0
}

func (w *Window) index(seq uint64) int { return int(seq / 64 & uint64(len(w.words)-1)) }

func (w *Window) at(seq uint64) (word *uint64, bit uint64) {
	return &w.words[w.index(seq)], 1 << (seq % 64)
}
