//go:build unix && !linux

package main

import (
	"syscall"
	"testing"
)

// No core dump of this process, and the limit as it was for commands.
func TestKeepMemoryPrivate(t *testing.T) {
	limit := func() syscall.Rlimit {
		var l syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	before := limit()
	defer func() { _ = lendDumps() }()
	if keepMemoryPrivate(); limit().Cur != 0 || limit().Max != before.Max {
		t.Errorf("the limit is %+v, before it was %+v", limit(), before)
	}
	back := lendDumps()
	if limit() != before {
		t.Errorf("a command has the limit %+v, want %+v", limit(), before)
	}
	if back(); limit().Cur != 0 {
		t.Errorf("afterwards the limit is %+v", limit())
	}
}
