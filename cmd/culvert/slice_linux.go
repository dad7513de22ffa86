package main

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sliceTime is how long one of our threads wants to run before it lets others go on.
const sliceTime = 500 * time.Microsecond

// takeShortSlices asks the kernel to let this process's threads run soon and briefly, instead of late and for
// milliseconds: what passes bytes on is waited for at both ends, and does little at a time. Its share of the
// processor stays what it was. Where every process of a tunnel shares two busy cores it carries a tenth more, with
// shorter round trips. Threads to come inherit it from those that are there, and so would a command that this process
// starts.
//
// Best effort: Linux before 6.12 takes no notice, a sandbox may forbid it, as the unit of an installed service does.
func takeShortSlices() {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			sliceOf(tid)
		}
	}
}

func sliceOf(tid int) {
	attr, err := unix.SchedGetAttr(tid, 0)
	if err != nil || attr.Policy != unix.SCHED_NORMAL {
		return // gone, or somebody has decided otherwise
	}
	attr.Runtime = uint64(sliceTime)
	_ = unix.SchedSetAttr(tid, attr, 0)
}
