package main

import (
	"testing"
	"time"

	"culvert/service"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]uint64{
		"1": 1, "512B": 512, "500kB": 500e3, "1.5MB": 1500e3, "2 GB": 2e9, "1KiB": 1024, "3MiB": 3 << 20, "1GiB": 1 << 30,
	} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "B", "0", "-1", "0.5", "much", "1 TB", "NaN", "Inf", "1e30GB", "MB1"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}

func TestBenchFlags(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  service.BenchOptions
	}{
		{nil, service.BenchOptions{For: 4 * time.Second, Timeout: 30 * time.Second}},
		{[]string{"--time", "10s", "--limit", "20MB", "--timeout", "1m"}, service.BenchOptions{For: 10 * time.Second, Limit: 20e6, Timeout: time.Minute}},
	} {
		dir := t.TempDir()
		tt.want.StateDir, tt.want.Daemon = dir, "laptop"
		r := newTestRun(t).run(append([]string{"bench", "laptop", "--state-dir", dir}, tt.words...)...)
		got, ok := r.got.(service.BenchOptions)
		if r.code != 0 || !ok || got.For != tt.want.For || got.Limit != tt.want.Limit || got.Timeout != tt.want.Timeout || got.StateDir != dir || got.Daemon != "laptop" {
			t.Errorf("%q: exit code %d, options %+v, want %+v", tt.words, r.code, r.got, tt.want)
		}
	}
}
