package main

import (
	"os"
	"syscall"
)

// passedSignals keep this process alive until its command has ended.
var passedSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// inForeground is true: the console tells all its processes of Ctrl-C by itself.
func inForeground() bool { return true }
