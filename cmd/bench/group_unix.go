//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// endGroup asks the process to end, killGroup ends it and its children. Either may be gone
// already.
func endGroup(cmd *exec.Cmd)  { _ = cmd.Process.Signal(syscall.SIGTERM) }
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
