package tunnel

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/windows"
)

// Go's syscall.ECONNREFUSED and its like are made up on Windows; sockets
// return the WSA numbers.

// statusOf maps the error of a dial to what the client is told. False: it says
// nothing that is known here.
func statusOf(err error) (Status, bool) {
	errno, ok := errors.AsType[windows.Errno](err)
	if !ok {
		return 0, false
	}
	switch errno {
	case windows.WSAECONNREFUSED, windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.ERROR_CONNECTION_REFUSED, windows.ERROR_FILE_NOT_FOUND:
		return StatusRefused, true
	case windows.WSAETIMEDOUT, windows.ERROR_SEM_TIMEOUT:
		return StatusTimeout, true
	case windows.WSAEMFILE, windows.WSAENOBUFS:
		return StatusBusy, true
	default:
		return StatusUnreachable, true
	}
}

// bindKindOf says why a listener could not be opened.
func bindKindOf(err error) BindKind {
	switch {
	case errors.Is(err, windows.WSAEADDRINUSE):
		return BindBusy
	case errors.Is(err, windows.WSAEACCES), errors.Is(err, fs.ErrPermission):
		return BindNotPermitted // also a port inside a range that the system has reserved
	case errors.Is(err, windows.WSAEADDRNOTAVAIL):
		return BindNoAddress
	default:
		return BindFailed
	}
}

// isRefused tells whether nobody listens where a dial went.
func isRefused(err error) bool {
	return errors.Is(err, windows.WSAECONNREFUSED) || errors.Is(err, windows.ERROR_CONNECTION_REFUSED)
}

// isShortage tells whether an accept failed for want of something that comes
// back by itself, so that it is worth trying again.
func isShortage(err error) bool {
	return errors.Is(err, windows.WSAEMFILE) || errors.Is(err, windows.WSAENOBUFS) || errors.Is(err, windows.WSAECONNRESET)
}
