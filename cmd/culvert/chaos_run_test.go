//go:build unix

package main

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestChaos does to real processes what happens to them: relays die, networks go away,
// machines stop. Every part is the binary that users run, built once.
func TestChaos(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "culvert")
	args := []string{"build", "-o", bin}
	if raceEnabled {
		args = append(args, "-race") // then the processes look for races too
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	// What is measured runs alone, the rest at once: it waits most of its time.
	t.Run("survive", func(t *testing.T) { chaosSurvive(t, bin) })
	t.Run("memory", func(t *testing.T) { chaosMemory(t, bin) })
	for name, run := range map[string]func(*testing.T, string){
		"daemon dies":        chaosDaemonDies,
		"held":               chaosHeld,
		"stall":              chaosStall,
		"nodes":              chaosNodes,
		"client's dead path": func(t *testing.T, bin string) { chaosDead(t, bin, "client") },
		"daemon's dead path": func(t *testing.T, bin string) { chaosDead(t, bin, "daemon") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, bin)
		})
	}
}

// bulk is how many bytes a transfer has: fewer with -short, and fewer still under the race
// detector, which makes every process ten times as slow.
func bulk(long, short int64) int64 {
	switch {
	case !testing.Short():
		return long
	case raceEnabled:
		return short / 4
	default:
		return short
	}
}

// wait lets time pass: the outage lasts.
func (l *lab) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.t.Context().Done():
	}
}

// ping returns a function that says something over the connection to an echo server and
// waits for the answer. It tells how long that took.
func (l *lab) ping(c *net.TCPConn) func() time.Duration {
	return func() time.Duration {
		l.t.Helper()
		begin := time.Now()
		said, heard := []byte(rand.Text()), make([]byte, len(rand.Text()))
		if err := c.SetDeadline(begin.Add(patience)); err != nil {
			l.t.Fatal(err)
		}
		if _, err := c.Write(said); err != nil {
			l.t.Fatalf("a quiet connection: write: %v", err)
		}
		if _, err := io.ReadFull(c, heard); err != nil {
			l.t.Fatalf("a quiet connection: read: %v", err)
		}
		if !bytes.Equal(said, heard) {
			l.t.Fatalf("said %q, heard %q", said, heard)
		}
		return time.Since(begin)
	}
}
