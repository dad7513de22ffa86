//go:build unix

package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

var release = flag.String("release", "", "add what this `VERSION` leaves behind to testdata/released")

// makeReleased runs a relay, a daemon and clients and keeps what they leave behind. A version
// that is there already stays as it is.
func makeReleased(t *testing.T, bin, version string) {
	t.Helper()
	to := filepath.Join(releasedDir, version)
	if ok, err := filepath.Match("v[0-9]*.[0-9]*.[0-9]*", version); err != nil || !ok || strings.ContainsAny(version, "/\\") {
		t.Fatalf("%q is no version such as v1.2.0", version)
	}
	if _, err := os.Stat(to); !os.IsNotExist(err) {
		t.Fatalf("%s is there already, and never changed: %v", to, err)
	}
	t.Run("make "+version, func(t *testing.T) {
		l := emptyLab(t, bin)
		echo, unix := l.serveEcho(), l.serveUnixEcho()
		l.live(echo, unix)
		l.copyOut(to, strings.NewReplacer(l.dir, "@DIR@", echo, "@ECHO@", unix, "@UNIX@"))
	})
	if t.Failed() {
		t.FailNow()
	}
}

// live does what leaves something behind, and ends everything.
func (l *lab) live(echo, unix string) {
	t := l.t
	t.Helper()
	l.startRelay()
	relay := []string{"--state-dir", l.path("relay")}
	old := l.call(nil, append([]string{"relay", "key", "create", "--scope", "daemon", "--name", "gone", "--expires", "30d"}, relay...)...)
	l.enrol(relay...)
	desk := []string{"--state-dir", l.path("desk")}
	l.call(l.via(l.clientRoute), append([]string{"login", labURL, "--key-file", l.path("api.key"), "--ca-file", l.path("ca.pem")}, desk...)...)
	l.call(nil, append([]string{"relay", "key", "revoke", keyID(t, old)}, relay...)...)

	l.write("daemon/config.yaml", "# What this machine exposes.\nname: laptop\nhold_time: 5m\nwhen_held: wait\nlog_level: info\nlog_format: text\n"+
		"targets:\n  echo: "+echo+"\n  unix: unix:"+unix+"\n  lan: 10.0.0.0/8:443\n")
	daemon := l.start("daemon", l.via(l.daemonRoute), "up", "--state-dir", l.path("daemon"))
	l.pair("client", l.clientRoute)
	l.call(l.via(l.daemonRoute), "pair", "--state-dir", l.path("daemon"), "--targets", "echo", "--for", "2h") // nobody comes

	_, said, err := l.try(l.via(l.clientRoute), append([]string{"forward", "--once", "--trust-on-first-use", "laptop", "0:echo"}, desk...)...)
	key := regexp.MustCompile(`culvert grant (\S+)`).FindStringSubmatch(said)
	if codeOf(err) != 23 || key == nil {
		t.Fatalf("a client without a grant: %v, %s", err, said)
	}
	l.call(nil, "grant", key[1], "--name", "desk", "--targets", "echo", "--for", "876000h", "--state-dir", l.path("daemon"))

	l.write("client/config.yaml", "forwards:\n  laptop:\n    - 0:echo\n    - forward: 127.0.0.1:0:unix\n      when_held: refuse\n    - socks5:0\n")
	client := l.start("client", l.via(l.clientRoute), "up", "--state-dir", l.path("client"))
	addr := client.nextThat(0, patience, "ready for echo", func(e told) bool { return e.Event == "ready" && e.Target == "echo" }).Addr
	c := l.dial(addr)
	l.ping(c)()
	_ = c.Close() // its end is in the audit log
	client.end()
	l.call(nil, append([]string{"relay", "backup", l.path("backup.db")}, relay...)...)
	for _, a := range asked {
		out := l.call(l.via(l.clientRoute), append(a.words, "--json", "--state-dir", l.path(a.state))...)
		if err := os.MkdirAll(l.path("told"), 0o700); err != nil {
			t.Fatal(err)
		}
		l.write("told/"+a.file, out)
	}
	daemon.end()
	l.relay.end()
}

// keyID is the public part of an API key.
func keyID(t *testing.T, key string) string {
	t.Helper()
	parts := strings.Split(strings.TrimSpace(key), "_")
	if len(parts) < 3 {
		t.Fatalf("an API key of %d parts", len(parts))
	}
	return parts[1]
}

// copyOut copies the lab's state, and the definitions of services, to a directory.
func (l *lab) copyOut(to string, hide *strings.Replacer) {
	l.t.Helper()
	from := map[string]string{}
	for _, name := range []string{"relay", "daemon", "client", "desk", "told"} {
		from[l.path(name)] = name
	}
	from[l.path("backup.db")] = "backup.db"
	for _, pattern := range []string{"../../service/osservice/testdata/*", "../../examples/systemd/*.service"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, f := range files {
			from[f] = "services/" + filepath.Base(f)
		}
	}
	for source, name := range from {
		if err := copyTree(source, filepath.Join(to, name), hide); err != nil {
			l.t.Fatal(err)
		}
	}
}

// chainedLog must stay as it is, to the byte. There is no address in it.
const chainedLog = "daemon-audit.log"

// copyTree copies files. Sockets, locks and what lies beside a store that is closed are not kept.
func copyTree(from, to string, hide *strings.Replacer) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasSuffix(path, ".lock") || strings.HasSuffix(path, "-wal") || strings.HasSuffix(path, "-shm") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Contains(data, []byte{0}) && d.Name() != chainedLog {
			data = []byte(hide.Replace(string(data)))
		}
		name := filepath.Join(to, strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			return fmt.Errorf("%s is there already: %v", name, err)
		}
		return os.WriteFile(name, data, 0o644)
	})
}

// serveUnixEcho is serveEcho on a Unix socket.
func (l *lab) serveUnixEcho() (path string) {
	l.t.Helper()
	path = filepath.Join(l.tmp, "echo.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		l.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // until the other side ends it
			})
		}
	})
	l.t.Cleanup(func() { // the processes have ended: so have their connections
		_ = ln.Close() // ends the loop
		wg.Wait()
	})
	return path
}
