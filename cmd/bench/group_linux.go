package main

import (
	"os/exec"
	"syscall"
)

// ownGroup also has the process killed when the bench is, which then cannot end it. The kernel
// looks at the thread that started it: Go's threads last as long as the bench, but for those
// that could not be brought back from a namespace, and then nothing works any more.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
