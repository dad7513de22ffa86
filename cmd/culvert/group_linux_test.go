package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The users of TestServiceForItsGroup: nobody has to have such a user.
const (
	uidService  = 61001
	uidMember   = 61002 // in the service's group too
	uidStranger = 61003
)

// groupHelper is set in the process that TestServiceForItsGroup starts.
const groupHelper = "CULVERT_TEST_GROUP"

// TestServiceForItsGroup runs a service as the packages do: its state in /var/lib/culvert, its socket in /run/culvert, for
// the group. A member may have every command carried out and cannot read a key; a stranger gets nothing, and a clear word.
func TestServiceForItsGroup(t *testing.T) {
	if os.Getenv(groupHelper) == "" {
		startGroupHelper(t)
		return
	}
	g := newGroupLab(t)
	url := g.start(uidService, `relay ready at (\S+) `, "relay", "--state-dir", "/var/lib/culvert-relay", "--listen", "127.0.0.1:0")
	relay := []string{"--state-dir", "/var/lib/culvert-relay"}
	key := g.run(uidMember, 0, "", append([]string{"relay", "key", "create", "--scope", "daemon,client"}, relay...)...)
	g.run(uidMember, 2, "--out cannot be given to a service", append([]string{"relay", "key", "create", "--scope", "client", "--out", "key"}, relay...)...)

	state := []string{"--state-dir", "/var/lib/culvert"}
	on := func(words ...string) []string { return append(words, state...) }
	g.write("/var/lib/culvert/config.yaml", "name: box\ntargets:\n  echo: 127.0.0.1:9\n", uidService)
	g.write("/var/lib/culvert/phrase", "phrase of the service\n", uidService)
	g.write("/run/api.key", key, 0)
	g.run(0, 0, "", on("login", url, "--key-file", "/run/api.key")...)
	g.run(0, 0, "", on("key", "passphrase", "--new-file", "/var/lib/culvert/phrase")...)
	g.start(uidService, `online as (\S+)`, on("up", "--passphrase-file", "/var/lib/culvert/phrase")...)

	var shown struct{ Key, Fingerprint string }
	if err := json.Unmarshal([]byte(g.run(uidService, 0, "", on("key", "show", "--json")...)), &shown); err != nil {
		t.Fatal(err)
	}
	client := strings.Repeat("A", 42) + "E"
	commands := []struct {
		words []string
		want  string // on stdout or stderr
	}{
		{on("status"), "daemon box"}, {on("doctor"), "control plane"}, {on("daemons"), "box"}, {on("reload"), ""},
		{on("pair"), "-"}, {on("grant", client, "--name", "phone", "--targets", "echo"), "phone may reach echo"},
		{on("clients"), "phone"}, {on("revoke", "phone"), "phone"},
		{on("trust", "accept", "box", "--fingerprint", shown.Fingerprint), ""}, {on("trust", "list"), "box"}, {on("trust", "show", "box"), shown.Fingerprint}, {on("trust", "forget", "box"), "box"},
		{append([]string{"relay", "key", "list"}, relay...), "daemon"}, {append([]string{"relay", "rotate"}, relay...), ""},
	}
	for _, c := range commands {
		g.run(uidStranger, 10, "no service of it answers: ", c.words...)
		g.run(uidMember, 0, c.want, c.words...)
	}
	// What is not for others says what to do, and the service does not carry it out.
	for _, words := range [][]string{on("audit", "show"), on("key", "show"), on("key", "passphrase", "--remove"), on("clients", "export"), on("forward", "box", "echo")} {
		for _, uid := range []int{uidMember, uidStranger} {
			g.run(uid, 10, "try: sudo -u ", words...)
		}
	}
	for _, file := range []string{"/var/lib/culvert/identity.key", "/var/lib/culvert-relay/relay.db", "/var/lib/culvert/daemon-audit.log"} {
		for _, uid := range []int{uidMember, uidStranger} {
			cmd := exec.Command("cat", file)
			cmd.SysProcAttr = credential(uid)
			if out, err := cmd.Output(); err == nil || len(out) > 0 {
				t.Errorf("user %d reads %s: %d bytes", uid, file, len(out))
			}
		}
	}
	log := g.run(0, 0, "", on("audit", "show", "--json")...)
	for _, want := range []string{`"act":"client granted","uid":61002,`, `"act":"client revoked","uid":61002,`, `"act":"daemon trusted","uid":61002,`, `"act":"pairing code made","uid":61002,`, `"act":"logged in","uid":0,`} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log does not say %s:\n%s", want, log)
		}
	}
	g.run(0, 0, "", on("audit", "verify")...)
	g.wantOwner("/var/lib/culvert", "/var/lib/culvert-relay") // also of what root made
}

// startGroupHelper runs the test anew in a mount namespace with a /var/lib and a /run of its own.
func startGroupHelper(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestServiceForItsGroup$", "-test.v", "-test.timeout=120s")
	cmd.Env = append(os.Environ(), groupHelper+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if os.Geteuid() != 0 || bytes.Contains(out, []byte("no mounts here")) || cmd.Process == nil {
		// A right, not a program: nobody can install it.
		t.Log("left out: the superuser's mounts")
		noteLeftOut(t, []string{"the superuser's mounts"})
		return
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestServiceForItsGroup")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// groupLab is a machine with three users.
type groupLab struct {
	t   *testing.T
	bin string
}

func newGroupLab(t *testing.T) *groupLab {
	t.Helper()
	err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	for _, dir := range []string{"/var/lib", "/run"} {
		if err == nil {
			err = syscall.Mount("none", dir, "tmpfs", 0, "mode=0755")
		}
	}
	if err != nil {
		t.Fatalf("no mounts here: %v", err)
	}
	g := &groupLab{t: t, bin: "/run/bin/culvert"}
	self, err := exec.LookPath("culvert")
	if err == nil {
		err = os.Mkdir(filepath.Dir(g.bin), 0o755)
	}
	if err == nil {
		err = copyProgram(self, g.bin)
	}
	for dir, mode := range map[string]os.FileMode{"/var/lib/culvert": 0o700, "/run/culvert": 0o750, "/var/lib/culvert-relay": 0o700, "/run/culvert-relay": 0o750} {
		if err == nil {
			err = os.Mkdir(dir, mode)
		}
		if err == nil {
			err = os.Chown(dir, uidService, uidService)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func credential(uid int) *syscall.SysProcAttr {
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	if uid == uidMember {
		c.Groups = []uint32{uidService}
	}
	return &syscall.SysProcAttr{Credential: c}
}

func (g *groupLab) command(uid int, words ...string) *exec.Cmd {
	cmd := exec.Command(g.bin, words...)
	cmd.Dir, cmd.SysProcAttr = "/", credential(uid)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "CULVERT_") }), "HOME=/nonexistent")
	return cmd
}

// run runs a command as a user, wants its exit code and some words, and returns stdout.
func (g *groupLab) run(uid, code int, want string, words ...string) string {
	g.t.Helper()
	cmd := g.command(uid, words...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code says it
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(out.String()+errs.String(), want) {
		g.t.Errorf("user %d: culvert %q: exit code %d, want %d and %q:\n%s%s", uid, words, got, code, want, out.String(), errs.String())
	}
	return strings.TrimSpace(out.String())
}

// start runs a command until the test ends and returns what it says first that fits.
func (g *groupLab) start(uid int, until string, words ...string) string {
	g.t.Helper()
	cmd := g.command(uid, words...)
	var said transcript
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		if err := cmd.Wait(); err != nil {
			text, _ := said.whole()
			g.t.Errorf("culvert %q: %v\n%s", words, err, text)
		}
	})
	for deadline := time.After(patience); ; {
		text, changed := said.whole()
		if m := regexp.MustCompile(until).FindStringSubmatch(text); m != nil {
			return m[1]
		}
		select {
		case <-changed:
		case <-deadline:
			g.t.Fatalf("culvert %q says %s", words, text)
		}
	}
}

func (g *groupLab) write(path, text string, uid int) {
	g.t.Helper()
	err := os.WriteFile(path, []byte(text), 0o600)
	if err == nil {
		err = os.Chown(path, uid, uid)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// wantOwner wants everything below to be the service's, and sockets to be for its group alone.
func (g *groupLab) wantOwner(dirs ...string) {
	g.t.Helper()
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) < 3 {
			g.t.Fatalf("%s: %v, %v", dir, entries, err)
		}
		for _, e := range entries {
			fi, err := e.Info()
			if err != nil {
				g.t.Error(err)
			} else if st := fi.Sys().(*syscall.Stat_t); st.Uid != uidService || fi.Mode().Perm()&0o077 != 0 {
				g.t.Errorf("%s/%s is user %d's, mode %v", dir, e.Name(), st.Uid, fi.Mode())
			}
		}
	}
	sockets, err := filepath.Glob("/run/culvert*/*.sock")
	if err != nil || len(sockets) != 2 {
		g.t.Fatalf("sockets %q, %v", sockets, err)
	}
	for _, s := range sockets {
		if fi, err := os.Stat(s); err != nil || fi.Mode().Perm() != 0o660 {
			g.t.Errorf("%s: %v, %v", s, fi.Mode(), err)
		}
		if c, err := net.Dial("unix", s); err != nil {
			g.t.Errorf("the superuser: %v", err)
		} else {
			c.Close()
		}
	}
}
