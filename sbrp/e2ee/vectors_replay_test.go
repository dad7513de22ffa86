package e2ee

import (
	"encoding/json"
	"testing"
)

func TestVectorsReplay(t *testing.T) {
	atLeast := func(least int) group {
		return func(t *testing.T, raw json.RawMessage) {
			var size int
			strict(t, raw, &size)
			if size < least || WindowSize < size {
				t.Errorf("window: got %d, want at least %d", WindowSize, size)
			}
		}
	}
	sizes := map[int]int{}
	runVectors(t, "testdata/replay.json", map[string]group{
		"description":         note,
		"source":              note,
		"source_detail":       note,
		"default_window_size": atLeast(1),
		"spec_minimum":        atLeast(1),
		"spec_recommended":    atLeast(1),
		"cases": rows(func(t *testing.T, row struct {
			Name          string `json:"name"`
			WindowSize    int    `json:"window_size"`
			DefaultWindow bool   `json:"default_window"`
			Note          string `json:"note"`
			Steps         []struct {
				Seq     decimal `json:"seq"`
				Accept  bool    `json:"accept"`
				MaxSeen *string `json:"max_seen"`
			} `json:"steps"`
		}) {
			sizes[row.WindowSize]++
			w, m := NewWindow(row.WindowSize), newModel(row.WindowSize)
			if w.Size() != row.WindowSize || len(row.Steps) == 0 {
				t.Fatalf("size %d, %d steps", w.Size(), len(row.Steps))
			}
			for i, step := range row.Steps {
				seq := uint64(step.Seq)
				if got := w.Check(seq); got != step.Accept || m.check(seq) != step.Accept {
					t.Fatalf("step %d, %d: got %v, the model %v, want %v", i, seq, got, m.check(seq), step.Accept)
				}
				if step.Accept {
					w.Mark(seq)
					m.mark(seq)
				}
				high, any := w.Highest()
				if step.MaxSeen == nil {
					t.Fatal("no max_seen")
				}
				var want decimal
				if err := want.UnmarshalText([]byte(*step.MaxSeen)); err != nil {
					if any {
						t.Errorf("step %d: highest: got %d, want none", i, high)
					}
				} else if !any || high != uint64(want) {
					t.Errorf("step %d: highest: got %d %v, want %d", i, high, any, want)
				}
				if !w.consistent() {
					t.Errorf("step %d: the window is not consistent", i)
				}
			}
		}),
	})
	for _, size := range []int{64, 128, 256, 1024} {
		if sizes[size] == 0 {
			t.Errorf("no case for a window of %d", size)
		}
	}
}
