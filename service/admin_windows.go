package service

import (
	"errors"

	"golang.org/x/sys/windows"
)

// checkPrivateDir accepts: the temporary directory of a Windows user is private to it.
func checkPrivateDir(string) error { return nil }

func isAddrInUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }

func isRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }
