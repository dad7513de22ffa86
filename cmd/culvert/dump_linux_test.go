package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestKeepMemoryPrivate(t *testing.T) {
	dumpable := func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := dumpable()
	defer func() {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(before), 0, 0, 0); err != nil {
			t.Error(err)
		}
	}()
	t.Setenv("GOTRACEBACK", "crash")
	if keepMemoryPrivate(); dumpable() != before {
		t.Error("GOTRACEBACK=crash asks for a core dump, and would get none")
	}
	t.Setenv("GOTRACEBACK", "single")
	if keepMemoryPrivate(); dumpable() != 0 {
		t.Error("a core dump would hold keys")
	}
}

// A real process is not dumpable: what the kernel knows of it is the superuser's. One that is to leave a dump is its user's.
func TestRealProcessIsPrivate(t *testing.T) {
	dir, uid := t.TempDir(), os.Geteuid()
	if uid == 0 {
		uid = 65534
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin, state := filepath.Join(dir, "culvert"), filepath.Join(dir, "state")
	err = copyProgram(self, bin)
	if err == nil {
		err = os.Mkdir(state, 0o700)
	}
	if err == nil {
		err = os.Chown(state, uid, -1)
	}
	for d := dir; err == nil && d != filepath.Clean(os.TempDir()); d = filepath.Dir(d) {
		err = os.Chmod(d, 0o755) // for the other user
	}
	if err != nil {
		t.Fatal(err)
	}
	for env, want := range map[string]int{"GOTRACEBACK=single": 0, "GOTRACEBACK=crash": uid} {
		cmd := exec.Command(bin, "relay", "--listen", "127.0.0.1:0", "--state-dir", state)
		cmd.Env, cmd.Dir = append(os.Environ(), env), dir
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		}
		var said transcript
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, changed := said.whole() // main is under way when it says something
		select {
		case <-changed:
		case <-time.After(patience):
			t.Error("the relay says nothing")
		}
		fi, err := os.Stat(fmt.Sprintf("/proc/%d/mem", cmd.Process.Pid))
		if err != nil {
			t.Error(err)
		} else if got := fi.Sys().(*syscall.Stat_t).Uid; int(got) != want {
			text, _ := said.whole()
			t.Errorf("%s: its memory is user %d's, want %d; it said %s", env, got, want, text)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	}
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close() // failed already
		return err
	}
	return out.Close()
}
