package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"culvert/config"
	"culvert/config/private"
)

const (
	// adminDirName holds the admin sockets of the processes that run on a state directory.
	// It is 0700 and each socket 0600: whoever may use one could as well edit the files.
	adminDirName = "run"
	// maxSocketPath is what every platform's sockaddr_un takes (104 bytes on macOS).
	maxSocketPath = 100
	// maxSocketName is the longest name of a socket: PID-N.sock.
	maxSocketName = len("4294967295-99.sock")
	adminTimeout  = 5 * time.Second
	// adminFresh is the age below which a socket that refuses is left alone: its process may
	// be between making it and listening on it.
	adminFresh = 10 * time.Second
)

// adminSocket is the local admin API of a running process: HTTP on a Unix socket, which
// Windows has too. Only this user, and the superuser, is answered; and in the directory of a
// system service, its group (see sharedAdminDir).
type adminSocket struct {
	ln     *net.UnixListener
	log    *slog.Logger
	shared bool   // with a group, which the modes alone let in
	made   string // directory outside the state directory, which goes with its last socket; empty: none
}

// adminDir is where the sockets are: in the state directory, or where their paths would be
// too long, in a private directory of the system's temporary one.
func adminDir(stateDir string) string {
	path := filepath.Join(stateDir, adminDirName)
	if len(path)+1+maxSocketName > maxSocketPath {
		sum := sha256.Sum256([]byte(stateDir))
		path = filepath.Join(os.TempDir(), "culvert-"+hex.EncodeToString(sum[:8]))
	}
	return path
}

// listenAdmin opens this process's socket, PID.sock. A process that runs several commands,
// as a program that embeds this package may, has PID-1.sock and so on.
func listenAdmin(dir *config.Dir, log *slog.Logger) (*adminSocket, error) {
	if in, shared := sharedAdminDir(dir.Path()); shared {
		a, err := listenIn(in, 0o660)
		if err == nil {
			a.log, a.shared = log, true
		}
		return a, err
	}
	in := adminDir(dir.Path())
	const tries = 10 // another process that ends may remove the directory just now
	for try := 1; ; try++ {
		if err := private.Mkdir(in); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		err := private.CheckClosed(in)
		var a *adminSocket
		if err == nil {
			a, err = listenIn(in, 0o600)
		}
		if errors.Is(err, fs.ErrNotExist) && try < tries {
			continue
		}
		if err != nil {
			return nil, err
		}
		a.log = log
		if filepath.Dir(in) != dir.Path() {
			a.made = in
		}
		return a, nil
	}
}

// listenIn opens a socket of this process in a directory.
func listenIn(in string, mode fs.FileMode) (*adminSocket, error) {
	const most = 100
	for n := range most {
		path := filepath.Join(in, strconv.Itoa(os.Getpid())+".sock")
		if n > 0 {
			path = filepath.Join(in, fmt.Sprintf("%d-%d.sock", os.Getpid(), n))
		}
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if isAddrInUse(err) {
			removeStale(path, 0) // this pid is ours: what refuses is a dead process's
			ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		}
		if isAddrInUse(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := os.Chmod(path, mode); err != nil {
			_ = ln.Close() // not usable
			return nil, err
		}
		return &adminSocket{ln: ln}, nil
	}
	return nil, fmt.Errorf("%d admin sockets of this process are in %s", most, in)
}

// removeStale removes a socket on which nobody listens any more.
func removeStale(path string, older time.Duration) {
	fi, err := os.Lstat(path)
	if err != nil || time.Since(fi.ModTime()) < older {
		return
	}
	c, err := net.DialTimeout("unix", path, adminTimeout)
	if err == nil {
		_ = c.Close() // somebody is there
		return
	}
	if isRefused(err) {
		_ = os.Remove(path) // another process may have done so
	}
}

// Accept returns the next connection of a user who may ask.
func (a *adminSocket) Accept() (net.Conn, error) {
	for {
		c, err := a.ln.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if a.shared {
			return c, nil
		}
		if err := checkPeer(c); err != nil {
			a.log.Warn("admin socket: connection refused", "err", err)
			_ = c.Close() // never answered
			continue
		}
		return c, nil
	}
}

// Close ends Accept and removes the socket, and with the last one the directory if it is
// not in the state directory; twice does no harm.
func (a *adminSocket) Close() error {
	err := a.ln.Close()
	if a.made != "" {
		removeUnused(a.made)
	}
	return err
}

// removeUnused removes a directory of sockets, and in it those of dead processes, unless
// one of another process is left.
func removeUnused(dir string) {
	paths, err := socketsIn(dir)
	if err != nil {
		return // it is gone already
	}
	for _, path := range paths {
		removeStale(path, adminFresh)
	}
	_ = os.Remove(dir) // refused while it is in use
}

// Addr is the socket's path.
func (a *adminSocket) Addr() net.Addr { return a.ln.Addr() }

// serve answers until ctx ends.
func (a *adminSocket) serve(ctx context.Context, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout, IdleTimeout: adminTimeout,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		u, ok := c.(*net.UnixConn)
		if !ok {
			return ctx
		}
		uid, err := peerUID(u)
		if err != nil {
			return ctx // the audit log then says this process's user
		}
		return context.WithValue(ctx, askedBy{}, uid)
	}
	srv.BaseContext = func(net.Listener) context.Context { return ctx }
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { // makes Serve return
		defer close(ended)
		// Detached: ctx has ended, and with it what the handlers do.
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminTimeout)
		defer cancel()
		if srv.Shutdown(sctx) != nil {
			_ = srv.Close() // some answer is stuck
		}
	})
	err := srv.Serve(a)
	if !stop() {
		<-ended
	}
	if !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
		return err
	}
	return nil
}

// errForeignUser says who asked.
func errForeignUser(uid uint32) error {
	return fmt.Errorf("user %d asks, who is neither this process's user nor the superuser", uid)
}

func writeJSON(w http.ResponseWriter, v any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b.Bytes()) // the caller has gone
}

// isAdminSocket tells by its name whether a file of the directory is a socket of ours.
func isAdminSocket(name string) bool {
	pid, ok := strings.CutSuffix(name, ".sock")
	return ok && pid != "" && strings.Trim(pid, "0123456789-") == ""
}
