//go:build linux && !race

package wsconn

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These calls are made on descriptors that do not block, and so take as long as copying takes. The runtime need not hear of
// them: told, it has its monitor thread look for the processor every 20 µs and take it away, and in a transfer that thread
// alone made more than half of all task switches.

func readNow(fd uintptr, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, _, e := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return outcome(n, e)
}

func writeNow(fd uintptr, p []byte) (int, error) {
	n, _, e := syscall.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return outcome(n, e)
}

func writeBothNow(fd uintptr, iov *[2][]byte) (int, error) {
	var v [2]unix.Iovec
	for i, p := range iov {
		v[i].Base = unsafe.SliceData(p)
		v[i].SetLen(len(p))
	}
	n, _, e := syscall.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
	return outcome(n, e)
}

func outcome(n uintptr, e syscall.Errno) (int, error) {
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
