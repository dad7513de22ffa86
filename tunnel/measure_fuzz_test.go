package tunnel

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"testing"
)

// FuzzReadReports reads what a daemon says has come of an upload: what is passed on only grows, never beyond what was sent,
// and the end is reached or an error says why not.
func FuzzReadReports(f *testing.F) {
	counts := func(all ...uint64) (b []byte) {
		for _, n := range all {
			b = binary.BigEndian.AppendUint64(b, n)
		}
		return b
	}
	f.Add(uint64(100), counts(0, 10, 10, 100))
	f.Add(uint64(100), counts(50, 49))
	f.Add(uint64(100), counts(101))
	f.Add(uint64(100), counts(100, 7)[:12])
	f.Fuzz(func(t *testing.T, limit uint64, wire []byte) {
		r := bytes.NewReader(wire)
		var got []uint64
		err := readReports(r, limit, func(n uint64) { got = append(got, n) })
		if !slices.IsSorted(got) || len(got) > 0 && got[len(got)-1] > limit {
			t.Errorf("of %d: %v", limit, got)
		}
		done := limit == 0 || len(got) > 0 && got[len(got)-1] == limit
		if (err == nil) != done || err == io.EOF {
			t.Errorf("of %d: %v, and %v", limit, got, err)
		}
		if read := len(wire) - r.Len(); err == nil && read != 8*len(got) {
			t.Errorf("%d bytes were read for %d reports", read, len(got))
		}
	})
}
