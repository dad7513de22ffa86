package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// On a terminal SIGHUP reloads, but the one that comes when the terminal is closed ends
// the command: nobody would be left to end it.
func TestUpTerminal(t *testing.T) {
	state := t.TempDir()
	relay := startProcess(t, "relay", "--state-dir", state+"/r", "--listen", "127.0.0.1:0")
	url := relay.match(t, `relay ready at (http://\S+) `)
	create := onTerminal(t, nil, "relay", "key", "create", "--state-dir", state+"/r", "--scope", "daemon")
	key := create.wait(`cvk_\S+`)[0]
	create.end()
	path := filepath.Join(state, "key")
	if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	login := onTerminal(t, nil, "login", url, "--state-dir", state+"/d", "--key-file", path)
	if code := login.end(); code != 0 {
		t.Fatalf("login: exit code %d:\n%s", code, login.seen)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(state+"/d/config.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("name: laptop\ntargets: {web: 3000}\n")
	up := onTerminal(t, nil, "up", "--state-dir", state+"/d")
	up.wait("online as laptop")
	write("name: laptop\ntargets: {web: 3000, ssh: 22}\n")
	if err := up.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	up.wait(`reloaded: forwards: none; targets: 1 unchanged, 1 added`)
	up.ctrl.Close()
	done := make(chan error, 1)
	go func() { done <- up.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("end with the terminal: %v:\n%s", err, up.seen)
		}
	case <-time.After(patience):
		_ = up.cmd.Process.Kill() // it has not ended
		<-done
		t.Errorf("it did not end with its terminal")
	}
	if strings.Contains(up.seen, "not reloaded") {
		t.Errorf("the closed terminal reloaded:\n%s", up.seen)
	}
}
