package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds each wait of a script: what takes so long has failed.
const patience = 60 * time.Second

// TestScripts runs testdata/script: real processes, real servers, real ssh. See
// testdata/script/README.md for the commands that scripts have besides testscript's own.
func TestScripts(t *testing.T) {
	var left leftOut
	p := scriptParams(&left)
	p.Dir = "testdata/script"
	testscript.Run(t, p)
	// Sub-tests are parallel: they have ended when this one's clean-up runs.
	t.Cleanup(func() { left.report(t) })
}

// scriptParams are what all scripts have.
func scriptParams(left *leftOut) testscript.Params {
	return testscript.Params{
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup:              setUpScript,
		Condition:          left.condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": cmdStart, "end": cmdEnd, "hangup": cmdHangup, "exited": cmdExited, "exits": cmdExits,
			"out": cmdOut, "err": cmdErr, "match": cmdMatch, "pick": cmdPick,
			"setvar": cmdSetvar, "port": cmdPort, "edit": cmdEdit, "mode": cmdMode,
			"network": cmdNetwork, "certificate": cmdCertificate,
			"webserver": cmdWebServer, "echoserver": cmdEchoServer, "unixecho": cmdUnixEcho, "sshd": cmdSSHD, "postgres": cmdPostgres, "sshdhome": cmdSSHDHome,
			"bound": cmdBound, "serve": cmdServe, "signal": cmdSignal,
			"stream": cmdStream, "refused": cmdRefused, "randfile": cmdRandFile,
		},
	}
}

// setUpScript gives a script its own home, state directories and world.
func setUpScript(env *testscript.Env) error {
	w := &world{procs: map[string]*process{}, streams: map[string]*stream{}, sockets: map[string]int{}}
	for _, name := range []string{"R", "D", "C"} {
		env.Setenv(name, env.WorkDir+"/"+strings.ToLower(name))
	}
	env.Setenv("HOME", env.WorkDir)
	size := "64MiB"
	if testing.Short() {
		size = "1MiB"
	}
	env.Setenv("BULK", size)
	w.env = slices.Clone(env.Vars)
	env.Values[worldKey{}] = w
	env.Defer(w.close)
	return nil
}

type worldKey struct{}

// world is what a script has started. Its commands run one after the other.
type world struct {
	env     []string
	procs   map[string]*process
	streams map[string]*stream
	sockets map[string]int // bound, not listening
	closers []func()
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// close ends everything in the reverse order.
func (w *world) close() {
	for _, s := range w.streams {
		s.conn.Close()
	}
	for _, p := range w.procs {
		p.kill()
	}
	for _, f := range slices.Backward(w.closers) {
		f()
	}
}

// environ is the script's environment as it is now.
func (w *world) environ(ts *testscript.TestScript) []string {
	var env []string
	seen := map[string]bool{}
	for _, kv := range append(slices.Clone(w.env), "CULVERT_STATE_DIR=", "CULVERT_API_KEY_FILE=", "SSL_CERT_FILE=") {
		name, _, _ := strings.Cut(kv, "=")
		if value := ts.Getenv(name); !seen[name] && value != "" {
			env = append(env, name+"="+value)
		}
		seen[name] = true
	}
	return env
}

// leftOut collects the programs that this machine lacks.
type leftOut struct {
	mu      sync.Mutex
	missing []string // guarded by mu
}

// condition is [have:PROGRAM]: false, and noted down, when the machine lacks it.
func (l *leftOut) condition(cond string) (bool, error) {
	name, ok := strings.CutPrefix(cond, "have:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	if findProgram(name) != "" {
		return true, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.missing, name) {
		l.missing = append(l.missing, name)
	}
	return false, nil
}

// report names what was left out, and fails where everything is required.
func (l *leftOut) report(t *testing.T) {
	if len(l.missing) == 0 {
		return
	}
	t.Logf("left out: %s", strings.Join(l.missing, ", "))
	noteLeftOut(t, l.missing)
	if os.Getenv("CULVERT_TEST_REQUIRE_ALL") == "1" {
		t.Errorf("CULVERT_TEST_REQUIRE_ALL=1, but this machine has no %s", strings.Join(l.missing, ", "))
	}
}

// noteLeftOut adds to the file that `make test` shows at its end: go test hides what a
// passing test says.
func noteLeftOut(t *testing.T, missing []string) {
	name := os.Getenv("CULVERT_TEST_LEFT_OUT")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Errorf("note what was left out: %v", err)
		return
	}
	_, err = fmt.Fprintf(f, "%s needs %s\n", t.Name(), strings.Join(missing, ", "))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Errorf("note what was left out: %v", err)
	}
}

// findProgram also looks where servers are installed, which is not in everybody's PATH.
func findProgram(name string) string {
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // several versions may live there
	if err != nil {
		debian = nil // name is no pattern
	}
	for _, path := range append([]string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name, "/usr/libexec/" + name}, debian...) {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	return ""
}
