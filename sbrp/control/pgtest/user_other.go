//go:build !unix

package pgtest

import "syscall"

// unprivileged has nothing to do here.
func unprivileged(string) (*syscall.SysProcAttr, error) { return nil, nil }
