//go:build unix && !linux

package main

import (
	"os"
	"sync"
	"syscall"
)

// coreLimit is the limit on core dumps with which this process was started, while it has none for itself.
var coreLimit struct {
	sync.Mutex
	given *syscall.Rlimit // nil: it is as it was
}

// keepMemoryPrivate has the kernel write no core dump of this process: there are keys in it. The limit is passed on to
// commands that are started, which get their own back by lendDumps. Who sets GOTRACEBACK=crash asks for a core
// dump, and gets one.
func keepMemoryPrivate() {
	var l syscall.Rlimit
	if os.Getenv("GOTRACEBACK") == "crash" || syscall.Getrlimit(syscall.RLIMIT_CORE, &l) != nil {
		return
	}
	coreLimit.Lock()
	defer coreLimit.Unlock()
	none := l
	none.Cur = 0
	if syscall.Setrlimit(syscall.RLIMIT_CORE, &none) == nil { // best effort: a sandbox may forbid it
		coreLimit.given = &l
	}
}

// lendDumps gives the limit back for the moment in which a command is started, which inherits it.
func lendDumps() (back func()) {
	coreLimit.Lock()
	defer coreLimit.Unlock()
	if coreLimit.given == nil {
		return func() {}
	}
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, coreLimit.given) // the command then leaves no core dump either
	coreLimit.given = nil
	return keepMemoryPrivate
}
