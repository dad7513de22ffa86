package service

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"culvert/config"
)

func testDir(t *testing.T, path string) *config.Dir {
	t.Helper()
	dir, err := openDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

func testSocket(t *testing.T, dir *config.Dir) *adminSocket {
	t.Helper()
	a, err := listenAdmin(dir, logger(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// serveAdmin answers at a socket as a process without parts.
func serveAdmin(t *testing.T, dir *config.Dir, command string) {
	t.Helper()
	p := newProcess(&machine{dir: dir, log: logger(nil)}, command, func(Event) {})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	up := make(chan struct{})
	go func() {
		done <- p.run(ctx, func(ctx context.Context) error {
			close(up)
			<-ctx.Done()
			return nil
		})
	}()
	receive(t, "process", up)
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("process %s: %v", command, err)
		}
	})
}

// The sockets are for this user alone, several in one process do not get in each other's
// way, and a closed one is gone.
func TestAdminSockets(t *testing.T) {
	dir := testDir(t, filepath.Join(t.TempDir(), "state"))
	a, b := testSocket(t, dir), testSocket(t, dir)
	if a.Addr().String() == b.Addr().String() || filepath.Base(a.Addr().String()) != strconv.Itoa(os.Getpid())+".sock" {
		t.Errorf("sockets %s and %s, want two named after the process", a.Addr(), b.Addr())
	}
	for path, want := range map[string]os.FileMode{a.Addr().String(): 0o600, filepath.Dir(a.Addr().String()): 0o700} {
		fi, err := os.Stat(path)
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, fi.Mode(), err, want)
		}
	}
	_ = a.Close() // to see it go
	if _, err := os.Stat(a.Addr().String()); !os.IsNotExist(err) {
		t.Errorf("a closed socket is still there: %v", err)
	}
}

// What a killed process left behind is not shown, and is removed once it is surely dead.
func TestAdminStaleSockets(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	dir := testDir(t, state)
	serveAdmin(t, dir, "forward")
	serveAdmin(t, dir, "expose")
	leave := func(name string, age time.Duration) string {
		t.Helper()
		path := filepath.Join(adminDir(dir.Path()), name)
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		ln.SetUnlinkOnClose(false)
		ln.Close()
		old := time.Now().Add(-age)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dead, starting := leave("4000000001.sock", time.Minute), leave("4000000002.sock", 0)
	own := leave(strconv.Itoa(os.Getpid())+"-2.sock", 0) // this pid, of another time
	if err := os.WriteFile(filepath.Join(adminDir(dir.Path()), "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := Common{StateDir: state}
	all, problems, err := Status(t.Context(), c)
	if err != nil || len(problems) > 0 || len(all) != 2 || all[0].Command == all[1].Command { // begun in one millisecond, maybe
		t.Errorf("status: %+v, problems %v, %v; want forward and expose", all, problems, err)
	}
	if _, err := os.Lstat(dead); !os.IsNotExist(err) {
		t.Errorf("a dead socket was left: %v", err)
	}
	if _, err := os.Lstat(starting); err != nil {
		t.Errorf("a socket that may be just starting was removed: %v", err)
	}
	if a := testSocket(t, dir); a.Addr().String() != own {
		t.Errorf("a dead process's socket of this pid was not replaced: %s", a.Addr())
	}
}

// A process that answers something else, or nothing, is named and hides nobody.
func TestStatusProblems(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	dir := testDir(t, state)
	serveAdmin(t, dir, "up")
	for name, h := range map[string]http.HandlerFunc{
		"4000000001.sock": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"4000000002.sock": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
		"4000000003.sock": func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
	} {
		ln, err := net.Listen("unix", filepath.Join(adminDir(dir.Path()), name))
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: h}
		done := make(chan struct{})
		go func() { defer close(done); _ = srv.Serve(ln) }()
		t.Cleanup(func() { srv.Close(); <-done })
	}
	all, problems, err := Status(t.Context(), Common{StateDir: state})
	if err != nil || len(all) != 1 || all[0].Command != "up" || len(problems) != 3 {
		t.Errorf("status: %+v, problems %v, %v; want up and three problems", all, problems, err)
	}
	if _, err := askDaemon(t.Context(), dir, http.MethodGet, "/v1/status"); err == nil {
		t.Error("a daemon was found where none runs")
	}
}

// A process of a later version tells more, and in words that are new; one of an earlier version
// tells less. Both are shown.
func TestStatusOfOtherVersions(t *testing.T) {
	for name, tc := range map[string]struct{ body, state string }{
		"later": {`{"pid":7,"command":"mesh","started":"2030-01-01T00:00:00.000Z","relays":[{"a":1}],
			"links":[{"daemon":"laptop","state":"bridged","since":"2030-01-01T00:00:00.000Z","path":{"kind":"direct"}}]}`, "bridged"},
		"earlier": {`{"pid":7,"command":"up","started":"2030-01-01T00:00:00Z","links":[{"state":"live"}]}`, "live"},
	} {
		st, err := answered{status: http.StatusOK, body: []byte(tc.body)}.process()
		if err != nil || st.PID != 7 || len(st.Links) != 1 || st.Links[0].State != tc.state || len(st.Lines(time.Now())) != 2 {
			t.Errorf("%s version: %+v, %v", name, st, err)
		}
	}
}

// Where the state directory's path is too long for a socket, a private directory serves,
// and the commands find it there.
func TestAdminLongPath(t *testing.T) {
	tmp, err := os.MkdirTemp("", "cv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	t.Setenv("TMPDIR", tmp)
	t.Setenv("TMP", tmp)
	state := filepath.Join(t.TempDir(), strings.Repeat("long/", 20), "state")
	dir := testDir(t, state)
	in := adminDir(dir.Path())
	t.Cleanup(func() { // after all sockets were closed
		if _, err := os.Lstat(in); !os.IsNotExist(err) {
			t.Errorf("%s is still there when nobody needs it: %v", in, err)
		}
	})
	serveAdmin(t, dir, "forward")
	if !strings.HasPrefix(in, tmp) {
		t.Fatalf("the sockets are in %s, want %s", in, tmp)
	}
	if st := oneStatus(t, Common{StateDir: state}); st.PID != os.Getpid() {
		t.Errorf("status %+v, want this process", st)
	}
	// Somebody else could have made it.
	if err := os.Chmod(in, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAdmin(dir, logger(nil)); err == nil && runtime.GOOS != "windows" {
		t.Error("a directory that others can enter was used")
	}
}

// Two processes cannot expose from one state directory; several others may run beside.
func TestExposeOnce(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	stop := w.expose("daemon", nil, "echo="+echoServer(t))
	err := Expose(t.Context(), ExposeOptions{Common: w.common("daemon"), Name: "other"}, func(Event) {})
	if CodeOf(err) != CodeConfig || classify(err).Name != "already_running" {
		t.Errorf("second expose: %v, want already_running", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.expose("daemon", nil, "echo="+echoServer(t))
}

// A process that cannot have a socket does its work without one.
func TestNoAdminSocket(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	dir := testDir(t, state)
	if err := os.WriteFile(filepath.Join(state, adminDirName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var told Event
	worked := false
	p := newProcess(&machine{dir: dir, log: logger(nil)}, "forward", func(e Event) { told = e })
	err := p.run(t.Context(), func(context.Context) error { worked = true; return nil })
	if err != nil || !worked || told.Code != "admin_socket" {
		t.Errorf("run: %v, worked %v, event %+v", err, worked, told)
	}
}

// A process whose status nobody could get would not beat.
func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beats := 0
		p := newProcess(&machine{log: logger(nil), beat: func() { beats++ }, every: time.Second}, "up", func(Event) {})
		ctx, cancel := context.WithTimeout(t.Context(), 10500*time.Millisecond)
		defer cancel()
		if err := p.beat(ctx); err != nil || beats != 10 {
			t.Errorf("%d beats in 10.5 s, %v; want 10", beats, err)
		}
	})
}
