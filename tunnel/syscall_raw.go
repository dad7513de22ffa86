//go:build linux && !race

package tunnel

import (
	"syscall"
	"unsafe"
)

// readNow reads from a descriptor that does not block. The runtime is not told,
// since that costs more than the call: see wsconn's calls of this kind.
func readNow(fd uintptr, p []byte) (int, error) {
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// writeNow is readNow's counterpart.
func writeNow(fd uintptr, p []byte) (int, error) {
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
