package service

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"culvert/config"
	"culvert/sbrp/e2ee"
)

// pinLaptop makes a state directory in which laptop is pinned.
func pinLaptop(t *testing.T, name string) Common {
	t.Helper()
	c := Common{StateDir: filepath.Join(t.TempDir(), name)}
	dir, err := config.Open(c.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	err = dir.KnownDaemons().Add(config.KnownDaemon{
		Name: "laptop", ID: "d1", Key: e2ee.GenerateIdentity().PublicKey(), Trust: config.TrustPaired,
		When: time.Now(), ControlURL: "https://relay.example.org",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSSHConfig(t *testing.T) {
	c := pinLaptop(t, "it's 100% here")
	phrase := filepath.Join(c.StateDir, "the phrase")
	block, err := SSHConfig(SSHOptions{Common: c, Daemon: "laptop", User: "the user", PassphraseFile: phrase})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Host laptop\n", "    User \"the user\"\n", "    HostKeyAlias laptop.culvert\n", " stdio laptop ssh\n", "100%% here"} {
		if !strings.Contains(block, want) {
			t.Errorf("%q is not in\n%s", want, block)
		}
	}
	if runtime.GOOS == "windows" {
		return // there is no sh to read it with
	}
	// What ssh does with it: %% is %, and a shell reads the rest.
	_, command, _ := strings.Cut(block, "ProxyCommand ")
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `for w in `+strings.ReplaceAll(strings.TrimSpace(command), "%%", "%")+`; do echo "$w"; done`).Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Split(strings.TrimSpace(string(out)), "\n")
	if want := []string{"--state-dir", c.StateDir, "--passphrase-file", phrase, "stdio", "laptop", "ssh"}; !slices.Equal(words[1:], want) {
		t.Errorf("a shell reads %q, want %q behind the program", words, want)
	}
}

func TestSSHRefusals(t *testing.T) {
	c := pinLaptop(t, "state")
	for _, test := range []struct {
		o    SSHOptions
		want Code
	}{
		{SSHOptions{Daemon: "other"}, CodeRefused},
		{SSHOptions{Daemon: "-oProxyCommand=x"}, CodeUsage},
		{SSHOptions{Daemon: "a b"}, CodeUsage},
		{SSHOptions{Daemon: "laptop;reboot"}, CodeUsage},
		{SSHOptions{Daemon: ""}, CodeUsage},
		{SSHOptions{Daemon: "laptop", Target: "a;b"}, CodeUsage},
		{SSHOptions{Daemon: "laptop", User: "-v"}, CodeUsage},
		{SSHOptions{Daemon: "laptop", User: "a\nProxyCommand x"}, CodeUsage},
		{SSHOptions{Daemon: "laptop"}, CodeOK},
		{SSHOptions{Daemon: "other", FirstUse: true}, CodeOK},
	} {
		test.o.Common = c
		if _, err := SSHConfig(test.o); CodeOf(err) != test.want {
			t.Errorf("%+v: got %v, want code %d", test.o, err, test.want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for _, test := range []struct{ word, goos, want string }{
		{"/usr/bin/culvert", "linux", "/usr/bin/culvert"},
		{"", "linux", "''"},
		{"a b", "linux", "'a b'"},
		{"it's", "linux", `'it'\''s'`},
		{`C:\culvert.exe`, "windows", `C:\culvert.exe`},
		{`C:\Program Files\culvert.exe`, "windows", `"C:\Program Files\culvert.exe"`},
	} {
		if got := shellWord(test.word, test.goos); got != test.want {
			t.Errorf("shellWord(%q, %s) = %s, want %s", test.word, test.goos, got, test.want)
		}
	}
}
