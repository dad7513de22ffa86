package main

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// This thread has the slice afterwards, and its policy and niceness are what they were.
func TestTakeShortSlices(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	takeShortSlices()
	after, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	want := *before
	if before.Policy == unix.SCHED_NORMAL && (major > 6 || major == 6 && minor >= 12) {
		want.Runtime = uint64(sliceTime)
	}
	if *after != want {
		t.Errorf("%+v, want %+v", *after, want)
	}
}
