package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"culvert/sbrp"
)

// secretRun is a whole run of real processes, of which everything that could be seen from outside is kept.
type secretRun struct {
	t    *testing.T
	dir  string
	seen map[string][]byte // by where it was seen
	live []*watched
}

// watched is a process that runs beside the test.
type watched struct {
	name     string
	cmd      *exec.Cmd
	out, err transcript
	done     chan struct{}
}

// command is culvert on a machine, with all that there is to log.
func (r *secretRun) command(machine string, args ...string) *exec.Cmd {
	cmd := exec.Command("culvert", append(args, "-vv")...)
	cmd.Dir = r.dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "CULVERT_") }),
		"CULVERT_STATE_DIR="+filepath.Join(r.dir, machine), "GOTRACEBACK=all")
	if machine == "daemon" {
		cmd.Env = append(cmd.Env, "CULVERT_PASSPHRASE_FILE="+filepath.Join(r.dir, "phrase"))
	}
	return cmd
}

// do runs a command to its end and returns stdout, which is kept too unless it is to hold a secret.
func (r *secretRun) do(machine string, tells bool, args ...string) string {
	r.t.Helper()
	cmd := r.command(machine, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	what := machine + ": culvert " + strings.Join(args, " ")
	if !tells {
		r.seen[what+", stdout"] = out.Bytes()
	}
	r.seen[what+", stderr"] = errs.Bytes()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && (!exited || cmd.ProcessState.ExitCode() != 10) {
		r.t.Fatalf("%s: %v\n%s", what, err, errs.Bytes())
	}
	return strings.TrimSpace(out.String())
}

// start runs a command beside the test and waits for what it says on stderr.
func (r *secretRun) start(machine, until string, args ...string) (*watched, []string) {
	r.t.Helper()
	w := &watched{name: machine + " " + args[0], cmd: r.command(machine, args...), done: make(chan struct{})}
	w.cmd.Stdout, w.cmd.Stderr = &w.out, &w.err
	if err := w.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() { // ends with the process
		defer close(w.done)
		_ = w.cmd.Wait() // by a signal
	}()
	r.live = append(r.live, w)
	re, deadline := regexp.MustCompile(until), time.After(patience)
	for {
		text, changed := w.err.whole()
		if m := re.FindStringSubmatch(text); m != nil {
			return w, m
		}
		select {
		case <-changed:
		case <-w.done:
			r.t.Fatalf("%s ended: %s", w.name, text)
		case <-deadline:
			r.t.Fatalf("%s does not say %q: %s", w.name, until, text)
		}
	}
}

// look keeps what others see of a process and of those that it has started.
func (r *secretRun) look(pid int, name string) {
	r.t.Helper()
	for _, file := range []string{"cmdline", "environ", "status", "comm"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if errors.Is(err, fs.ErrPermission) {
			continue // not even this user may see it
		}
		if err != nil {
			r.t.Fatal(err)
		}
		r.seen[name+", "+file] = b
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, file := range tasks {
		b, _ := os.ReadFile(file) // a thread may end
		for child := range strings.FieldsSeq(string(b)) {
			var n int
			if _, err := fmt.Sscan(child, &n); err == nil {
				r.look(n, name+", its child")
			}
		}
	}
}

// fetch keeps what a process answers by HTTP.
func (r *secretRun) fetch(name string, cl *http.Client, url string) {
	r.t.Helper()
	resp, err := cl.Get(url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || len(b) == 0 {
		r.t.Fatalf("%s: %s, %d bytes, %v", url, resp.Status, len(b), err)
	}
	r.seen[name+" "+url] = b
}

// kill ends all processes with SIGQUIT, after which Go writes all their stacks.
func (r *secretRun) kill() {
	for _, w := range slices.Backward(r.live) {
		_ = w.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
		select {
		case <-w.done:
		case <-time.After(patience):
			_ = w.cmd.Process.Kill() // the test has failed
			<-w.done
			r.t.Errorf("%s does not end", w.name)
		}
		for what, text := range map[string]*transcript{"stdout": &w.out, "stderr": &w.err} {
			all, _ := text.whole()
			r.seen[w.name+", "+what] = []byte(all)
		}
	}
	r.live = nil
}

// deviceKey gives a machine a key that the test knows.
func (r *secretRun) deviceKey(machine, seed string) {
	r.t.Helper()
	dir := filepath.Join(r.dir, machine)
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "identity.key"), []byte("culvert-device-key-v1 "+base64.RawURLEncoding.EncodeToString([]byte(seed))+"\n"), 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// spelled are bytes in all the ways in which they could be written.
func spelled(secret []byte) [][]byte {
	out := [][]byte{secret, []byte(hex.EncodeToString(secret)), bytes.ToUpper([]byte(hex.EncodeToString(secret)))}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		out = append(out, []byte(enc.EncodeToString(secret)))
	}
	numbers := strings.Trim(fmt.Sprint(secret), "[]")
	return append(out, []byte(numbers), []byte(strings.ReplaceAll(numbers, " ", ", ")), []byte(strings.Trim(fmt.Sprintf("%q", secret), `"`)))
}

// In a whole run of real processes, with logs of everything, no key, passphrase, API key or pairing code is in a command line,
// an environment, of theirs or of what they start, in a log, an answer of any kind, a metric, a profile or a dump of all stacks.
func TestSecretsOfRealProcesses(t *testing.T) {
	r := &secretRun{t: t, dir: t.TempDir(), seen: map[string][]byte{}}
	defer r.kill()
	secrets := map[string][]byte{"the daemon's key": []byte("daemon-key-seed-of-32-bytes-1234"), "the client's key": []byte("client-key-seed-of-32-bytes-5678"), "the passphrase": []byte("a phrase that nobody knows")}
	r.deviceKey("daemon", string(secrets["the daemon's key"]))
	r.deviceKey("client", string(secrets["the client's key"]))
	if err := os.WriteFile(filepath.Join(r.dir, "phrase"), append(secrets["the passphrase"], '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = web.Serve(ln) }() // ends with Close
	defer web.Close()

	relay, m := r.start("relay", `(?s)relay ready at (\S+) .*`, "relay", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--pprof", "127.0.0.1:0", "--log-format", "json")
	url := m[1]
	key := r.do("relay", true, "relay", "key", "create", "--scope", "daemon,client", "--name", "test")
	secrets["the API key"] = []byte(key[strings.LastIndexByte(key, '_')+1:])
	if err := os.WriteFile(filepath.Join(r.dir, "api.key"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	admin, err := os.ReadFile(filepath.Join(r.dir, "relay", "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	secrets["the admin key"] = bytes.TrimSpace(admin[bytes.LastIndexByte(admin, '_')+1:])
	r.do("daemon", false, "key", "passphrase", "--new-file", "phrase")
	r.do("daemon", false, "login", url, "--key-file", "api.key")
	daemon, _ := r.start("daemon", `online as laptop`, "expose", "--name", "laptop", "web="+ln.Addr().String())
	code := r.do("daemon", true, "pair")
	secrets["the pairing code"] = []byte(strings.ReplaceAll(code, "-", ""))
	pairings, err := os.ReadFile(filepath.Join(r.dir, "daemon", "pairings.json"))
	if err != nil {
		t.Fatal(err)
	}
	var pending struct{ Pending []struct{ PSK string } }
	if err := json.Unmarshal(pairings, &pending); err != nil || len(pending.Pending) != 1 {
		t.Fatalf("%+v, %v", pending, err)
	}
	if secrets["the pairing psk"], err = hex.DecodeString(pending.Pending[0].PSK); err != nil {
		t.Fatal(err)
	}
	cmd := r.command("client", "pair", "-", "--relay", url)
	cmd.Stdin = strings.NewReader(code)
	out, err := cmd.CombinedOutput()
	if r.seen["client: culvert pair"] = out; err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	client, _ := r.start("client", `started here`, "run", "laptop", "0:web", "--", "sh", "-c", `env >&2; echo started here >&2; while :; do sleep 1; done`)

	for _, p := range []*watched{relay, daemon, client} {
		r.look(p.cmd.Process.Pid, p.name)
	}
	r.commands()
	r.answers(relay)
	r.kill()
	r.check(secrets, code)
}

// commands keeps what commands tell.
func (r *secretRun) commands() {
	for _, args := range [][]string{
		{"status", "--json"}, {"clients", "--json"}, {"clients", "export"}, {"audit", "show", "--json"}, {"audit", "verify", "--json"}, {"key", "show", "--json"}, {"daemons", "--json"}, {"version", "--json"},
	} {
		r.do("daemon", false, args...)
	}
	for _, args := range [][]string{
		{"status", "--json"}, {"doctor", "laptop/web", "--json"}, {"doctor", "laptop/web"}, {"trust", "list", "--json"}, {"trust", "show", "laptop", "--json"}, {"audit", "show"}, {"ssh-config", "laptop"}, {"key", "show"},
	} {
		r.do("client", false, args...)
	}
	r.do("relay", false, "relay", "key", "list", "--json")
	r.do("relay", false, "status", "--json")
	// What goes wrong tells nothing either.
	if err := os.WriteFile(filepath.Join(r.dir, "client", "bad.key"), []byte("x"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.do("daemon", false, "key", "passphrase", "--passphrase-file", "client/bad.key", "--remove")
}

// answers keeps what the admin sockets, the metrics and the profiler say.
func (r *secretRun) answers(relay *watched) {
	for _, machine := range []string{"relay", "daemon", "client"} {
		sockets, err := filepath.Glob(filepath.Join(r.dir, machine, "run", "*.sock"))
		if err != nil || len(sockets) != 1 {
			r.t.Fatalf("%s has the sockets %q, %v", machine, sockets, err)
		}
		cl := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", sockets[0])
		}}}
		r.fetch(machine, cl, "http://culvert/v1/status")
	}
	text, _ := relay.err.whole()
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			r.t.Fatalf("the relay does not say %q: %s", pattern, text)
		}
		return strings.TrimRight(m[1], "/,.;\"")
	}
	cl := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r.fetch("metrics", cl, find(`metrics at (\S+)`))
	profiler := find(`profiler at (\S+)`)
	for _, page := range []string{"", "/cmdline", "/goroutine?debug=2", "/heap?debug=1", "/allocs", "/threadcreate?debug=1", "/mutex?debug=1", "/block?debug=1", "/trace?seconds=0.1"} {
		r.fetch("profiler", cl, profiler+page)
	}
}

// check searches everything for every secret.
func (r *secretRun) check(secrets map[string][]byte, code string) {
	total, logged := 0, 0
	for where, text := range r.seen {
		total += len(text)
		if bytes.Contains(text, []byte("goroutine ")) {
			logged++
		}
		for name, secret := range secrets {
			for _, form := range spelled(secret) {
				if at := bytes.Index(text, form); at >= 0 {
					r.t.Errorf("%s holds %s: …%.200q…", where, name, text[max(at-80, 0):])
				}
			}
		}
		if bytes.Contains(text, []byte(code)) {
			r.t.Errorf("%s holds the pairing code", where)
		}
	}
	if len(r.seen) < 60 || total < 100_000 || logged < 4 {
		r.t.Errorf("only %d places with %d bytes and %d dumps of stacks: is this a whole run?", len(r.seen), total, logged)
	}
	for _, want := range []string{"relay relay, cmdline", "daemon expose, cmdline", "client run, its child, cmdline", "client run, its child, environ"} {
		if len(r.seen[want]) == 0 {
			r.t.Errorf("%s was not looked at", want)
		}
	}
	for name, secret := range secrets { // the search itself works
		if len(secret) < 16 || !slices.ContainsFunc(spelled(secret), func(f []byte) bool { return bytes.Equal(f, secret) }) {
			r.t.Errorf("%s has %d bytes", name, len(secret))
		}
	}
	if _, err := sbrp.ParsePublicKey(strings.TrimSpace(strings.Split(string(r.seen["client: culvert key show, stdout"]), "\n")[0])); err != nil {
		r.t.Errorf("key show: %v", err)
	}
}
