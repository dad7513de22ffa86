package service

import (
	"errors"
	"net"

	"golang.org/x/sys/windows"
)

// checkPeer accepts: see peerUID.
func checkPeer(*net.UnixConn) error { return nil }

func isAddrInUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }

func isRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }
