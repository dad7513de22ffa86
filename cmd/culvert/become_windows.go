package main

import (
	"errors"
	"os"
	"os/exec"

	"culvert/service"
)

// become runs a program to its end and returns its exit code: a process cannot be
// replaced here. Ctrl-C goes to both, and this one outlives it.
func become(line []string) (int, error) {
	_, release := catchSignals()
	defer release()
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, &service.Error{Code: service.CodeFailure, Name: "exec", Err: err}
	}
	return 0, nil
}
