package service

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"culvert/config"
	"culvert/config/private"
	"culvert/mux"
)

// maxAnswer bounds an answer of the admin API, in bytes: tens of thousands of connections.
const maxAnswer = 64 << 20

// answered is what one process said.
type answered struct {
	path   string // its socket
	status int    // of HTTP
	body   []byte
	err    error
}

// askAll asks every process that runs on the state directory, all at once, so that one
// that hangs holds up nobody else. Sockets of dead processes are removed.
func askAll(ctx context.Context, stateDir, method, path string, timeout time.Duration) ([]answered, error) {
	sockets, err := adminSockets(stateDir)
	if err != nil {
		return nil, err
	}
	all := make([]answered, len(sockets))
	var wg sync.WaitGroup
	for i, socket := range sockets {
		wg.Go(func() { all[i] = ask(ctx, socket, method, path, timeout) })
	}
	wg.Wait()
	all = slices.DeleteFunc(all, func(a answered) bool {
		if isRefused(a.err) {
			removeStale(a.path, adminFresh)
		}
		return isRefused(a.err) || errors.Is(a.err, fs.ErrNotExist) // it has ended
	})
	if in := adminDir(stateDir); len(all) == 0 && filepath.Dir(in) != stateDir {
		removeUnused(in) // those who had it were killed
	}
	return all, nil
}

// adminSockets are the sockets of the processes, dead ones too.
func adminSockets(stateDir string) ([]string, error) {
	var paths []string
	if in, ok := sharedAdminDir(stateDir); ok {
		shared, err := socketsIn(in)
		if err != nil {
			return nil, stateError(err)
		}
		paths = shared
		if foreign, _ := foreignDir(stateDir); foreign && os.Geteuid() != 0 {
			return paths, nil // the others are not for us
		}
	}
	in := adminDir(stateDir)
	own, err := socketsIn(in)
	if err == nil && own != nil && os.Geteuid() != 0 { // the superuser may look at other users' processes
		err = private.CheckClosed(in)
	}
	if err != nil {
		return nil, stateError(err)
	}
	return append(paths, own...), nil
}

// socketsIn are the sockets in a directory, which need not be there.
func socketsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	paths := []string{}
	for _, e := range entries {
		if isAdminSocket(e.Name()) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// ask makes one call.
func ask(ctx context.Context, socket, method, path string, timeout time.Duration) answered {
	a := answered{path: socket}
	cl := adminClient(socket, timeout)
	req, err := http.NewRequestWithContext(ctx, method, "http://culvert"+path, nil)
	if err != nil {
		a.err = err
		return a
	}
	resp, err := cl.Do(req)
	if err != nil {
		a.err = err
		return a
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	var raw json.RawMessage
	a.err = json.NewDecoder(http.MaxBytesReader(nil, resp.Body, maxAnswer)).Decode(&raw)
	a.body = raw
	return a
}

// adminClient talks to one process.
func adminClient(socket string, timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

// process is the answer as a process's status.
func (a answered) process() (ProcessStatus, error) {
	var st ProcessStatus
	err := a.err
	switch {
	case err != nil:
	case a.status != http.StatusOK:
		err = errors.New(http.StatusText(a.status))
	default:
		err = json.Unmarshal(a.body, &st)
	}
	if err != nil {
		return st, fmt.Errorf("process behind %s gives no status: %w", a.path, err)
	}
	return st, nil
}

// adminStatus is what the commands about grants need of a running daemon.
type adminStatus struct {
	PID  int
	Live map[string]int // links up, by the client's key
}

// errNotRunning says that no daemon runs on this state directory.
var errNotRunning = errors.New("no daemon is running")

// askDaemon calls the process that exposes targets from a state directory.
func askDaemon(ctx context.Context, dir *config.Dir, method, path string) (adminStatus, error) {
	all, err := askAll(ctx, dir.Path(), method, path, adminTimeout)
	if err != nil {
		return adminStatus{}, err
	}
	for _, a := range all {
		p, err := a.process()
		if err != nil || p.Exposure == nil {
			continue
		}
		st := adminStatus{PID: p.PID, Live: map[string]int{}}
		for _, l := range p.Links {
			// A held link is one whose client has gone, for a while or for good.
			if l.Key != "" && l.State != string(mux.StateHeld) {
				st.Live[l.Key]++
			}
		}
		return st, nil
	}
	return adminStatus{}, errNotRunning
}

func daemonRunning(dir *config.Dir) bool {
	// Detached: a look at local sockets, bounded by its own timeout.
	_, err := askDaemon(context.Background(), dir, http.MethodGet, "/v1/status")
	return err == nil
}

// byStart sorts processes by their start, oldest first.
func byStart(a, b ProcessStatus) int {
	return cmp.Or(a.Started.Compare(b.Started.Time), cmp.Compare(a.PID, b.PID))
}
