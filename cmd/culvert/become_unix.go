//go:build unix

package main

import (
	"os"
	"syscall"

	"culvert/service"
)

// become replaces this process by a program, which so has its terminal, its signals and
// its exit code. It returns only when that fails.
func become(line []string) (int, error) {
	back := lendDumps()
	err := syscall.Exec(line[0], line, os.Environ())
	back()
	return 0, &service.Error{Code: service.CodeFailure, Name: "exec", Err: &os.PathError{Op: "run", Path: line[0], Err: err}}
}
