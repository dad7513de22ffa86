// The race detector sees what a descriptor orders only through these.

//go:build unix && (!linux || race)

package wsconn

import "golang.org/x/sys/unix"

func readNow(fd uintptr, p []byte) (int, error)            { return unix.Read(int(fd), p) }
func writeNow(fd uintptr, p []byte) (int, error)           { return unix.Write(int(fd), p) }
func writeBothNow(fd uintptr, iov *[2][]byte) (int, error) { return unix.Writev(int(fd), iov[:]) }
