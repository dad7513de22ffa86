//go:build unix && (!linux || race)

package wsconn

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// With the race detector these are used on Linux too: it learns from package syscall what reading and writing orders.

func readNow(fd uintptr, p []byte) (int, error)            { return syscall.Read(int(fd), p) }
func writeNow(fd uintptr, p []byte) (int, error)           { return syscall.Write(int(fd), p) }
func writeBothNow(fd uintptr, iov *[2][]byte) (int, error) { return unix.Writev(int(fd), iov[:]) }
