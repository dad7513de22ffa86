//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const releasedDir = "testdata/released"

// TestReleased has today's culvert go on from what each released version has left behind:
// see testdata/released/README.md.
func TestReleased(t *testing.T) {
	bin := buildCulvert(t)
	if *release != "" {
		makeReleased(t, bin, *release)
	}
	versions, err := filepath.Glob(releasedDir + "/v*")
	if err != nil || len(versions) == 0 {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	for _, from := range versions {
		t.Run(filepath.Base(from), func(t *testing.T) {
			l := emptyLab(t, bin)
			l.copyIn(from)
			l.goOn()
			releasedServices(t, filepath.Join(from, "services"))
		})
	}
}

// asked are commands whose JSON is kept with a version, by file and state directory.
var asked = []struct {
	file, state string
	words       []string
}{
	{"clients.json", "daemon", []string{"clients"}},
	{"keys.json", "relay", []string{"relay", "key", "list"}},
	{"trust-client.json", "client", []string{"trust", "list"}},
	{"trust-desk.json", "desk", []string{"trust", "list"}},
}

// goOn starts everything from the state directories of another version, as its owner would
// after an upgrade.
func (l *lab) goOn() {
	t := l.t
	t.Helper()
	for _, state := range []string{"daemon", "client"} {
		l.call(nil, "check", l.path(state+"/config.yaml"))
	}
	l.startRelay()
	l.start("daemon", l.via(l.daemonRoute), "up", "--state-dir", l.path("daemon"))
	for _, a := range asked {
		l.tellsStill(a.file, append(a.words, "--json", "--state-dir", l.path(a.state))...)
	}
	client := l.start("client", l.via(l.clientRoute), "up", "--state-dir", l.path("client"))
	ready := func(target string) string {
		return client.nextThat(0, patience, "ready for "+target, func(e told) bool { return e.Event == "ready" && e.Target == target }).Addr
	}
	use := l.ping(l.dial(ready("echo")))
	use()
	l.ping(l.dial(ready("unix")))()
	l.call(l.via(l.clientRoute), "doctor", "laptop/echo", "--state-dir", l.path("desk"))
	if _, said, err := l.try(l.via(l.clientRoute), "forward", "--once", "laptop", "0:unix", "--state-dir", l.path("desk")); codeOf(err) != 23 {
		t.Errorf("a target that was not granted: %v, %s", err, said)
	}
	// The store takes writes, and its old backup too, while everything runs.
	l.call(nil, "relay", "key", "create", "--scope", "daemon", "--name", "later", "--state-dir", l.path("relay"))
	l.call(nil, "relay", "rotate", "--state-dir", l.path("relay"))
	l.call(nil, "relay", "restore", l.path("backup.db"), "--state-dir", l.path("relay"))
	l.tellsStill("keys.json", "relay", "key", "list", "--json", "--state-dir", l.path("relay"))
	l.killRelay()
	l.startRelay()
	use()
	l.call(nil, "audit", "verify", "--state-dir", l.path("daemon"))
}

// tellsStill wants a command to tell all that the other version has told: fields are only
// ever added.
func (l *lab) tellsStill(file string, args ...string) {
	l.t.Helper()
	was, err := os.ReadFile(l.path("told/" + file))
	if err != nil {
		l.t.Fatal(err)
	}
	now := l.call(l.via(l.clientRoute), args...)
	for line := range strings.Lines(string(was)) {
		if !slices.ContainsFunc(slices.Collect(strings.Lines(now)), func(other string) bool { return covers(l.t, other, line) }) {
			l.t.Errorf("culvert %s tells no more\n%sbut\n%s", args[0], line, now)
		}
	}
}

// covers tells whether a JSON object has each field of another, but for what changes by itself.
func covers(t *testing.T, line, of string) bool {
	t.Helper()
	var have, want map[string]any
	if err := errors.Join(json.Unmarshal([]byte(line), &have), json.Unmarshal([]byte(of), &want)); err != nil {
		t.Fatalf("%q and %q: %v", line, of, err)
	}
	delete(want, "live")
	for name, value := range want {
		if !reflect.DeepEqual(have[name], value) {
			return false
		}
	}
	return true
}

// copyIn copies a version's directory into the lab.
func (l *lab) copyIn(from string) {
	l.t.Helper()
	echo, unix := l.serveEcho(), l.serveUnixEcho()
	fill := strings.NewReplacer("@DIR@", l.dir, "@ECHO@", echo, "@UNIX@", unix)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := l.path(strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		data, err := os.ReadFile(path)
		if err == nil && !bytes.Contains(data, []byte{0}) {
			data = []byte(fill.Replace(string(data)))
		}
		if err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o600)
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// releasedServices wants today's culvert to understand the command lines that the services
// of another version run: they stay installed when the binary is exchanged.
func releasedServices(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(dir + "/*")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files in %s, %v", len(files), dir, err)
	}
	for _, file := range files {
		words, err := serviceWords(file)
		if err == nil {
			var cmdErr error
			root := newRootCmd(newApp())
			cmd, rest, findErr := root.Find(words)
			if err = findErr; err == nil {
				cmdErr = cmd.ParseFlags(rest)
			}
			if err == nil && cmdErr == nil {
				cmdErr = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if cmdErr != nil || !cmd.Runnable() {
				err = fmt.Errorf("command %s: %w", cmd.Name(), cmdErr)
			}
		}
		if err != nil {
			t.Errorf("%s runs %q: %v", file, words, err)
		}
	}
}

// serviceWords are the words behind the program in a service's definition.
func serviceWords(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	switch filepath.Ext(file) {
	case ".service":
		for line := range strings.Lines(string(text)) {
			if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
				return strings.Fields(command)[1:], nil // no word of ours has a space
			}
		}
	case ".json":
		var windows struct{ Arguments []string }
		return windows.Arguments, json.Unmarshal(text, &windows)
	case ".plist":
		var list struct {
			Words []string `xml:"dict>array>string"`
		}
		if err := xml.Unmarshal(text, &list); err != nil || len(list.Words) < 2 {
			return nil, fmt.Errorf("%d words, %v", len(list.Words), err)
		}
		return list.Words[1:], nil
	}
	return nil, fmt.Errorf("no command line in %s", file)
}
