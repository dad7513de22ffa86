//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// hangups returns the SIGHUPs of this process, unless it was started to ignore them.
func hangups() (<-chan os.Signal, func()) {
	if signal.Ignored(syscall.SIGHUP) {
		return nil, func() {}
	}
	c := make(chan os.Signal, 1) // one that waits is as good as many
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
