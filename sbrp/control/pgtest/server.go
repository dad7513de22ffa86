package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// patience is how long a server may take to answer.
const patience = 60 * time.Second

// Server is a PostgreSQL server with a directory of its own. It listens on a Unix socket
// there, so that no port needs to be chosen for it. Its user is "app", without a password.
// Its methods are for one goroutine.
type Server struct {
	dir string // short, because a socket's path must be
	as  *syscall.SysProcAttr
	log tail
	cmd *exec.Cmd // nil: it does not run
}

// Start makes a database server and waits until it answers. The caller stops it.
func Start() (*Server, error) {
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	if err := s.create(); err != nil {
		s.Stop()
		return nil, err
	}
	if err := s.Run(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) create() (err error) {
	if s.as, err = unprivileged(s.dir); err != nil {
		return fmt.Errorf("find a user for PostgreSQL: %w", err)
	}
	out, err := s.command("initdb", "-D", s.data(), "-U", "app", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command is one of PostgreSQL's programs, with nothing of the user's settings.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(find(name), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, s.as
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C"}
	return cmd
}

// Run starts a server that was killed, with the data it has, and waits until it answers.
func (s *Server) Run() error {
	// A server that was killed is told apart from one that runs by the lock file's process.
	cmd := s.command("postgres", "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200")
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.command("pg_isready", "-q", "-h", s.dir, "-U", "app").Run()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, s.Log())
		}
	}
}

// Kill ends the server at once, whoever is connected, as a crash does. It returns when the
// server is gone; what was committed is there after Run.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT) // PostgreSQL's "immediate shutdown", its children included
	_ = s.cmd.Wait()                          // its exit code is of no interest
	s.cmd = nil
}

// Stop kills the server and removes all it had.
func (s *Server) Stop() {
	s.Kill()
	_ = os.RemoveAll(s.dir) // it is in the system's temporary directory
}

// SQL runs statements in the database "postgres", each by itself.
func (s *Server) SQL(statements ...string) error {
	args := []string{"-XAtq", "-v", "ON_ERROR_STOP=1", "-h", s.dir, "-U", "app", "-d", "postgres"}
	for _, statement := range statements {
		args = append(args, "-c", statement)
	}
	if out, err := s.command("psql", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w\n%s", err, out)
	}
	return nil
}

// Socket is the path of the server's Unix socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// URL names a database of the server, such as "postgres".
func (s *Server) URL(database string) string {
	return "postgres:///" + database + "?host=" + s.dir + "&user=app"
}

// Log is the end of what the server wrote.
func (s *Server) Log() string { return s.log.String() }

// tail keeps the last that was written to it.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

const tailSize = 1 << 20

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b.Len() > tailSize {
		t.b.Reset()
	}
	return t.b.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// errNoUser is a root that has nobody to run PostgreSQL as.
var errNoUser = errors.New("PostgreSQL does not run as root, and there is no user nobody")
