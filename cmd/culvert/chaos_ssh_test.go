//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sshd runs a real OpenSSH server for this user, one `sshd -i` for each connection as
// inetd does, and writes ssh_config for it; ok is false, and said, when this machine
// lacks OpenSSH.
func (l *lab) sshd() (addr string, ok bool) {
	t := l.t
	t.Helper()
	var left leftOut
	for _, name := range []string{"sshd", "ssh", "ssh-keygen"} {
		if have, err := left.condition("have:" + name); err != nil {
			t.Fatal(err)
		} else if !have {
			left.report(t)
			return "", false
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command(findProgram("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", l.path(key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	hostKey, err := os.ReadFile(l.path("host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // only then sshd separates privileges, and wants this
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.write("known_hosts", "laptop "+string(hostKey))
	l.write("sshd_config", fmt.Sprintf("HostKey %[1]s/host\nAuthorizedKeysFile %[1]s/user.pub\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n", l.dir))
	l.write("ssh_config", fmt.Sprintf("Host *\nUser %[2]s\nIdentityFile %[1]s/user\nIdentitiesOnly yes\nUserKnownHostsFile %[1]s/known_hosts\nGlobalKnownHostsFile none\nHostKeyAlias laptop\nStrictHostKeyChecking yes\nBatchMode yes\nLogLevel ERROR\n", l.dir, me.Username))
	ctx, cancel := context.WithCancel(context.Background())
	addr = l.serve(func(c *net.TCPConn) {
		f, err := c.File()
		_ = c.Close() // f is a copy
		if err != nil {
			return
		}
		defer f.Close()
		cmd := exec.CommandContext(ctx, findProgram("sshd"), "-i", "-E", l.path("sshd.log"), "-f", l.path("sshd_config"))
		cmd.Stdin, cmd.Stdout = f, f
		_ = cmd.Run() // 255 when the client leaves; the log has the rest
	})
	t.Cleanup(cancel)
	return addr, true
}

// shell is an interactive ssh session with a terminal.
type shell struct {
	t        *testing.T
	name     string
	cmd      *exec.Cmd
	in       io.WriteCloser
	out, err transcript
	said     int
	done     chan struct{} // closed when ssh has ended
}

// ssh opens a session and has it answer once.
func (l *lab) ssh(name string, env []string, args ...string) *shell {
	t := l.t
	t.Helper()
	s := &shell{t: t, name: name, done: make(chan struct{})}
	s.cmd = exec.Command(findProgram("ssh"), append([]string{"-tt", "-F", l.path("ssh_config")}, args...)...)
	s.cmd.Env = append(l.environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.err
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its ProxyCommand is to end with it
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // waited for in the clean-up
		defer close(s.done)
		_ = s.cmd.Wait() // ProcessState has it
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // unless bye has ended it
		<-s.done
	})
	s.answers()
	return s
}

// answers has the shell compute something: what was typed is echoed, but the sum is the
// shell's. It returns how long that took.
func (s *shell) answers() time.Duration {
	s.t.Helper()
	s.said++
	begin := time.Now()
	if _, err := fmt.Fprintf(s.in, "echo sum=$((1000+%d))=\n", s.said); err != nil {
		s.t.Fatalf("%s: type: %v", s.name, err)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		text, changed := s.out.whole()
		if strings.Contains(text, fmt.Sprintf("sum=%d=", 1000+s.said)) {
			return time.Since(begin)
		}
		select {
		case <-changed:
		case <-s.done:
			s.t.Fatalf("%s has ended: %s", s.name, s.describe())
		case <-timer.C:
			s.t.Fatalf("%s does not answer: %s", s.name, s.describe())
		}
	}
}

// bye leaves the shell, which must be the end of ssh without a word.
func (s *shell) bye() {
	s.t.Helper()
	if _, err := io.WriteString(s.in, "exit 0\n"); err != nil {
		s.t.Errorf("%s: type: %v", s.name, err)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("%s does not end: %s", s.name, s.describe())
	}
	if text, _ := s.err.whole(); text != "" || !s.cmd.ProcessState.Success() {
		s.t.Errorf("%s ended with %v: %s", s.name, s.cmd.ProcessState, s.describe())
	}
}

func (s *shell) describe() string {
	out, _ := s.out.whole()
	text, _ := s.err.whole()
	return "\n[stdout]\n" + out + "[stderr]\n" + text
}
