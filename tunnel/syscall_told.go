// The race detector sees what a descriptor orders only through these.

//go:build unix && (!linux || race)

package tunnel

import "syscall"

func readNow(fd uintptr, p []byte) (int, error)  { return syscall.Read(int(fd), p) }
func writeNow(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }
