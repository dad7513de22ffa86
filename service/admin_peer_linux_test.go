package service

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Another user is not answered, even where the modes would let him in.
func TestAdminPeer(t *testing.T) {
	if err := mayAsk(uint32(os.Geteuid())); err != nil {
		t.Errorf("this user: %v", err)
	}
	if err := mayAsk(0); err != nil {
		t.Errorf("the superuser: %v", err)
	}
	if err := mayAsk(uint32(os.Geteuid()) + 1); err == nil {
		t.Error("another user may ask")
	}
	if os.Geteuid() != 0 {
		t.Log("left out: connecting as another user, which needs the superuser")
		if os.Getenv("CULVERT_TEST_REQUIRE_ALL") == "1" {
			t.Error("CULVERT_TEST_REQUIRE_ALL=1, but this is not the superuser")
		}
		return
	}
	base := t.TempDir()
	dir := testDir(t, filepath.Join(base, "state"))
	serveAdmin(t, dir, "forward")
	socket := filepath.Join(adminDir(dir.Path()), "open.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, path := range []string{socket, adminDir(dir.Path()), dir.Path(), base, filepath.Dir(base)} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	accepted := make(chan error, 2)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for range 2 {
			c, err := ln.AcceptUnix()
			if err != nil {
				accepted <- err
				return
			}
			accepted <- checkPeer(c)
			c.Close()
		}
	}()
	connectAs(t, 65534, socket)
	if err := receive(t, "other user's connection", accepted); err == nil {
		t.Error("another user's connection is accepted")
	}
	connectAs(t, 0, socket)
	if err := receive(t, "own connection", accepted); err != nil {
		t.Errorf("own connection: %v", err)
	}
	<-served
}

// connectAs connects from a thread of that user; the thread ends with its goroutine.
func connectAs(t *testing.T, uid int, socket string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: no other goroutine gets a thread of that user
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			done <- errno
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
			_ = unix.Close(fd)
		}
		done <- err
	}()
	if err := receive(t, "connection", done); err != nil {
		t.Fatalf("connect as user %d: %v", uid, err)
	}
}
