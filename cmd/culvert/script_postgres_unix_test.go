//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdPostgres is "postgres VAR": a real PostgreSQL server with a database of its own. It
// listens on a Unix socket, so that no port needs to be chosen for it; VAR gets its path.
// PostgreSQL refuses to run as root: then it runs as nobody. The directory's path is short
// because a socket's must be.
func cmdPostgres(ts *testscript.TestScript, _ bool, args []string) {
	dir, err := os.MkdirTemp("", "pg")
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(dir) }) // it is in the system's temporary directory
	as := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 {
		nobody, err := user.Lookup("nobody")
		ts.Check(err)
		uid, uerr := strconv.ParseUint(nobody.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(nobody.Gid, 10, 32)
		ts.Check(errors.Join(uerr, gerr))
		ts.Check(os.Chown(dir, int(uid), int(gid)))
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(findProgram(name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, as
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C"}
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "app", "--auth=trust", "--no-sync").CombinedOutput(); err != nil {
		ts.Fatalf("initdb: %v\n%s", err, out)
	}
	server := command("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	log, err := os.Create(filepath.Join(ts.MkAbs("."), "postgres.log"))
	ts.Check(err)
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	ts.Check(server.Start())
	ts.Defer(func() {
		_ = server.Process.Signal(syscall.SIGQUIT) // at once, whoever is connected
		_ = server.Wait()                          // its exit code is of no interest
	})
	awaitPostgres(ts, func() error { return command("pg_isready", "-q", "-h", dir, "-U", "app").Run() })
	ts.Setenv(args[0], filepath.Join(dir, ".s.PGSQL.5432"))
}

func awaitPostgres(ts *testscript.TestScript, isReady func() error) {
	deadline := time.After(patience)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		err := isReady()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("PostgreSQL does not answer: %v\n%s", err, ts.ReadFile("postgres.log"))
		}
	}
}
