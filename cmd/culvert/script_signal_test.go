package main

import (
	"os"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdSignal is "signal NAME TERM|HUP|INT|QUIT|KILL": sends the signal to a process.
func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	s, ok := map[string]os.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": os.Interrupt, "QUIT": syscall.SIGQUIT, "KILL": os.Kill}[args[1]]
	if !ok {
		ts.Fatalf("signal: which one is %q?", args[1])
	}
	ts.Check(worldOf(ts).process(ts, args[0]).cmd.Process.Signal(s))
}
