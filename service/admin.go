package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"culvert/config"
)

const (
	// adminSocketFile is the socket of the running daemon of a state directory. Its
	// directory is 0700 and it is 0600: whoever may use it could as well edit the files.
	adminSocketFile = "daemon.sock"
	// maxSocketPath is what every platform's sockaddr_un takes (104 bytes on macOS).
	maxSocketPath = 100
	adminTimeout  = 5 * time.Second
)

// adminSocket is the local admin API of a running daemon: HTTP on a Unix socket, which
// Windows has too. It also keeps a second daemon from running on the same state
// directory: the two would replace each other at the relay for ever.
type adminSocket struct {
	ln   net.Listener
	path string
}

// adminPath is the socket's place: in the state directory, or where its path would be too
// long for a socket, in a private directory of the system's temporary one.
func adminPath(dir *config.Dir) (string, error) {
	path := dir.File(adminSocketFile)
	if len(path) <= maxSocketPath {
		return path, nil
	}
	abs, err := filepath.Abs(dir.Path())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	private := filepath.Join(os.TempDir(), "culvert-"+hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(private, 0o700); err != nil {
		return "", err
	}
	if err := checkPrivateDir(private); err != nil {
		return "", err
	}
	return filepath.Join(private, adminSocketFile), nil
}

// listenAdmin opens the socket, removing what a killed process left behind.
func listenAdmin(dir *config.Dir) (*adminSocket, error) {
	path, err := adminPath(dir)
	if err != nil {
		return nil, stateError(err)
	}
	if daemonRunning(dir) {
		return nil, errorf(CodeConfig, "already_running", "stop it first, or give this one a --state-dir of its own",
			"another culvert already exposes targets from %s", dir.Path())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, stateError(err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, stateError(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close() // not usable
		return nil, stateError(err)
	}
	return &adminSocket{ln: ln, path: path}, nil
}

func (a *adminSocket) close() { _ = a.ln.Close() } // also removes the socket; twice does no harm

// serve answers until ctx ends.
func (a *adminSocket) serve(ctx context.Context, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout, IdleTimeout: adminTimeout}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // makes Serve return
	defer stop()
	if err := srv.Serve(a.ln); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
		return err
	}
	return nil
}

// adminStatus is the answer of GET /v1/status: what a command needs of a running daemon.
type adminStatus struct {
	PID    int            `json:"pid"`
	Name   string         `json:"name"`
	Online bool           `json:"online"`
	Live   map[string]int `json:"live"` // links up, by the client's key
}

func (x *exposure) adminHandler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, x.adminStatus()) })
	// Grants live in the state directory; a command that has changed them says so here
	// instead of waiting for the next look at the file.
	m.HandleFunc("POST /v1/grants/apply", func(w http.ResponseWriter, _ *http.Request) {
		x.applyGrants()
		writeJSON(w, x.adminStatus())
	})
	return m
}

func (x *exposure) adminStatus() adminStatus {
	x.mu.Lock()
	defer x.mu.Unlock()
	st := adminStatus{PID: os.Getpid(), Name: x.name, Online: x.online, Live: map[string]int{}}
	for key, n := range x.live {
		st.Live[publicKeyText(key)] = n
	}
	return st
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

// errNotRunning says that no daemon runs on this state directory.
var errNotRunning = errors.New("no daemon is running")

// askDaemon calls the running daemon of a state directory.
func askDaemon(ctx context.Context, dir *config.Dir, method, path string) (adminStatus, error) {
	var st adminStatus
	socket, err := adminPath(dir)
	if err != nil {
		return st, err
	}
	if _, err := os.Stat(socket); err != nil {
		return st, errNotRunning
	}
	cl := &http.Client{Timeout: adminTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
			if err != nil {
				return nil, errNotRunning
			}
			return conn, nil
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://daemon"+path, nil)
	if err != nil {
		return st, err
	}
	resp, err := cl.Do(req)
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return st, errorf(CodeFailure, "admin", "update culvert: the running daemon is of another version", "ask the running daemon: %s", resp.Status)
	}
	return st, json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&st)
}

func daemonRunning(dir *config.Dir) bool {
	// Detached: a look at a local socket, bounded by its own timeout.
	_, err := askDaemon(context.Background(), dir, http.MethodGet, "/v1/status")
	return err == nil
}
