package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// childExit is the end of a command whose exit code is another program's, which has said
// itself what there was to say.
type childExit int

func (c childExit) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// exitOf is nil for 0.
func exitOf(code int) error {
	if code == 0 {
		return nil
	}
	return childExit(code)
}

// catchSignals returns the signals that are a child's business from now on. Those that
// this process was started to ignore, as with nohup, stay ignored by both. A few may wait:
// whoever sends more than that to one program does not count them.
func catchSignals() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 8)
	for _, s := range passedSignals {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
	return c, func() { signal.Stop(c) }
}

// passOn tells whether a child needs to be told of a signal. What is typed at a terminal
// goes to the whole group of processes in its foreground, and a second Ctrl-C means
// something else to many programs.
func passOn(s os.Signal) bool {
	return s != os.Interrupt && s != syscall.SIGQUIT || !inForeground()
}
