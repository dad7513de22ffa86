//go:build unix

package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// checkInherited tells whether whoever started this process passed descriptor fd on.
// What the process itself has opened is marked to be closed on exec and is refused: it
// may be anything, such as the runtime's own.
func checkInherited(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 {
		return errors.New("this descriptor is not open")
	}
	mode, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || mode&unix.O_ACCMODE == unix.O_RDONLY {
		return errors.New("this descriptor is not open for writing")
	}
	unix.CloseOnExec(fd)
	return nil
}
