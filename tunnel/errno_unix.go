//go:build unix

package tunnel

import (
	"errors"
	"syscall"
)

// statusOf maps the error of a dial to what the client is told. False: it says
// nothing that is known here.
func statusOf(err error) (Status, bool) {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return 0, false
	}
	switch errno {
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ENOENT:
		return StatusRefused, true // ENOENT: the program behind a Unix socket has not made it yet
	case syscall.ETIMEDOUT:
		return StatusTimeout, true
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN:
		return StatusBusy, true // EAGAIN: a Unix socket's backlog is full
	default:
		return StatusUnreachable, true
	}
}

// bindKindOf says why a listener could not be opened.
func bindKindOf(err error) BindKind {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return BindBusy
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return BindNotPermitted
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return BindNoAddress
	default:
		return BindFailed
	}
}

// isRefused tells whether nobody listens where a dial went.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// isShortage tells whether an accept failed for want of something that comes
// back by itself, so that it is worth trying again.
func isShortage(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR, syscall.EPERM, syscall.EPROTO:
		return true // EPERM: a firewall refused this one connection
	default:
		return false
	}
}
