package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestKeepMemoryPrivate(t *testing.T) {
	dumpable := func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := dumpable()
	defer func() {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(before), 0, 0, 0); err != nil {
			t.Error(err)
		}
	}()
	t.Setenv("GOTRACEBACK", "crash")
	if keepMemoryPrivate(); dumpable() != before {
		t.Error("GOTRACEBACK=crash asks for a core dump, and would get none")
	}
	t.Setenv("GOTRACEBACK", "single")
	if keepMemoryPrivate(); dumpable() != 0 {
		t.Error("a core dump would hold keys")
	}
}
