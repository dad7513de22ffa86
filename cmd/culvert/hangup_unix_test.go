//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// heedHangup makes the programs that tests start heed SIGHUP although this one may have
// been started with it ignored, as nohup does: what is caught here is back at its default
// there, while what is ignored stays so.
func heedHangup() { signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) }
