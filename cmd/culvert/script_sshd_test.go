package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdSSHD is "sshd VAR": a real OpenSSH server for this user with keys of its own. VAR gets
// its HOST:PORT; ssh/config in the script's directory makes ssh and scp use the keys, and
// ME is who to log in as. sshd cannot listen on any free port, so that the listener is the
// test's, which starts one `sshd -i` for each connection, as inetd does.
func cmdSSHD(ts *testscript.TestScript, _ bool, args []string) {
	me, err := user.Current()
	ts.Check(err)
	dir := ts.MkAbs("ssh")
	ts.Check(os.MkdirAll(dir, 0o700))
	for _, key := range []string{"host", "user"} {
		out, err := exec.Command(findProgram("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput()
		if err != nil {
			ts.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	hostKey, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	ts.Check(err)
	if os.Geteuid() == 0 { // only then sshd separates privileges, and wants this
		ts.Check(os.MkdirAll("/run/sshd", 0o755))
	}
	writeFile(ts, filepath.Join(dir, "sshd_config"), fmt.Sprintf(`HostKey %[1]s/host
AuthorizedKeysFile %[1]s/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
`, dir))
	writeFile(ts, filepath.Join(dir, "known_hosts"), "laptop "+string(hostKey))
	writeFile(ts, filepath.Join(dir, "config"), fmt.Sprintf(`Host *
  User %[2]s
  IdentityFile %[1]s/user
  IdentitiesOnly yes
  UserKnownHostsFile %[1]s/known_hosts
  GlobalKnownHostsFile none
  HostKeyAlias laptop
  StrictHostKeyChecking yes
  BatchMode yes
  LogLevel ERROR
`, dir, me.Username))
	ts.Setenv("ME", me.Username)
	ts.Setenv(args[0], serveSSHD(ts, findProgram("sshd"), filepath.Join(dir, "sshd_config")))
}

// serveSSHD starts an sshd for each connection until the script ends, and returns the
// address.
func serveSSHD(ts *testscript.TestScript, sshd, config string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.TCPConn).File()
			_ = c.Close() // f is a copy
			if err != nil {
				continue
			}
			cmd := exec.CommandContext(ctx, sshd, "-i", "-E", config+".log", "-f", config)
			cmd.Stdin, cmd.Stdout = f, f
			wg.Go(func() {
				defer f.Close()
				_ = cmd.Run() // 255 when the client leaves; the log has the rest
			})
		}
	})
	ts.Defer(func() {
		ln.Close()
		cancel()
		wg.Wait()
	})
	return ln.Addr().String()
}

func writeFile(ts *testscript.TestScript, path, text string) {
	ts.Check(os.WriteFile(path, []byte(text), 0o600))
}
