package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdPick is "pick VAR FROM FIELD [KEY=VALUE...]": sets the variable to the field of the
// first JSON line of FROM in which every key has its value. FROM is stdout, a file, or a
// process, for whose line it waits.
func cmdPick(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: pick VAR FROM FIELD [KEY=VALUE...]")
	}
	var value string
	find := func(text string) bool {
		for line := range strings.Lines(text) {
			if v, ok := pickLine(line, args[2], args[3:]); ok {
				value = v
				return true
			}
		}
		return false
	}
	if p := worldOf(ts).procs[args[1]]; p != nil {
		if !p.await(&p.out, find) {
			ts.Fatalf("no line with %q: %s", args[2:], p.describe())
		}
	} else if text := ts.ReadFile(args[1]); !find(text) {
		ts.Fatalf("no line with %q in:\n%s", args[2:], text)
	}
	ts.Logf("%s=%s", args[0], value)
	ts.Setenv(args[0], value)
}

// cmdMatch is "match [-out] VAR NAME REGEXP": waits for a line on the process's stderr, or
// stdout, and sets the variable to the expression's first group.
func cmdMatch(ts *testscript.TestScript, _ bool, args []string) {
	out := args[0] == "-out"
	if out {
		args = args[1:]
	}
	p := worldOf(ts).process(ts, args[1])
	from := &p.err
	if out {
		from = &p.out
	}
	re, err := regexp.Compile("(?m)" + args[2])
	ts.Check(err)
	found := func(text string) bool {
		m := re.FindStringSubmatch(text)
		if m != nil {
			ts.Setenv(args[0], m[1])
		}
		return m != nil
	}
	if !p.await(from, found) {
		ts.Fatalf("no match for %#q: %s", args[2], p.describe())
	}
}

// pickLine returns a field of a JSON line that has all the values wanted.
func pickLine(line, field string, want []string) (string, bool) {
	var object map[string]any
	if json.Unmarshal([]byte(line), &object) != nil {
		return "", false
	}
	for _, kv := range want {
		k, v, _ := strings.Cut(kv, "=")
		if got, ok := object[k]; !ok || fmt.Sprint(got) != v {
			return "", false
		}
	}
	v, ok := object[field]
	return fmt.Sprint(v), ok
}

// cmdSetvar is "setvar VAR FILE": sets the variable to what is in the file, or in stdout
// or stderr, without the white space around it.
func cmdSetvar(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// cmdPort is "port VAR ADDR": sets the variable to the port of HOST:PORT.
func cmdPort(ts *testscript.TestScript, _ bool, args []string) {
	_, port, err := net.SplitHostPort(args[1])
	ts.Check(err)
	ts.Setenv(args[0], port)
}

// cmdEdit is "edit FILE OLD NEW": replaces a text that must be in the file, once.
func cmdEdit(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if n := strings.Count(text, args[1]); n != 1 {
		ts.Fatalf("%s has %q %d times, want once", args[0], args[1], n)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1)), 0o600))
}

// cmdMode is "mode FILE PERM": the file's permission bits, as ls prints them.
func cmdMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := info.Mode().Perm().String(); got != args[1] {
		ts.Fatalf("%s is %s, want %s", args[0], got, args[1])
	}
}

// cmdNetwork is "network": a relay, a daemon machine and a client machine that are logged
// in, as a user would set them up. It sets URL.
func cmdNetwork(ts *testscript.TestScript, _ bool, _ []string) {
	w := worldOf(ts)
	relay := w.start(ts, "relay", true, []string{"culvert", "relay", "--state-dir", ts.Getenv("R"), "--listen", "127.0.0.1:0", "--json"})
	url := ""
	online := func(text string) (ok bool) {
		for line := range strings.Lines(text) {
			if url, ok = pickLine(line, "url", []string{"event=online"}); ok {
				return true
			}
		}
		return false
	}
	if !relay.await(&relay.out, online) {
		ts.Fatalf("the relay does not say its URL: %s", relay.describe())
	}
	ts.Setenv("URL", url)
	ts.Check(ts.Exec("culvert", "relay", "key", "create", "--state-dir", ts.Getenv("R"), "--scope", "daemon,client", "--name", "test"))
	ts.Check(os.WriteFile(ts.MkAbs("api.key"), []byte(ts.ReadFile("stdout")), 0o600))
	for _, who := range []string{"D", "C"} {
		ts.Check(ts.Exec("culvert", "login", url, "--state-dir", ts.Getenv(who), "--key-file", "api.key", "--name", "machine-"+who))
	}
}
