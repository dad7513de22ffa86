package osservice

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files and examples/systemd anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// golden compares text with a file.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s is another one (write it anew with -update):\n%s", path, text)
	}
}

// The units of examples/systemd, which packages bring too, are what the program makes.
func TestPackagedUnits(t *testing.T) {
	const exe = "/usr/local/bin/culvert"
	for file, role := range map[string]Role{"culvert.service": Up, "culvert-relay.service": Relay} {
		golden(t, filepath.Join("../../examples/systemd", file), PackagedUnit(role, exe))
	}
}

// TestDefinitions has a golden file for each kind of service on each system.
func TestDefinitions(t *testing.T) {
	linux := Spec{Role: Up, RunAs: DefaultUser, Executable: "/usr/bin/culvert", StateDir: "/var/lib/culvert"}
	relay := Spec{
		Role: Relay, Instance: "eu", RunAs: DefaultUser, Executable: "/usr/bin/culvert", StateDir: "/var/lib/culvert-relay-eu",
		Args: []string{"--listen", ":443", "--public-url=https://relay.example.org", "--tls-cert", "/etc/x y/100%.pem", "--tls-key=/etc/k.pem", "--db", `postgres://$a"b@h/d`},
	}
	own := Spec{Role: Up, User: true, Instance: "work", Executable: "/home/me/bin/culvert", StateDir: "/home/me/.config/culvert-work", Args: []string{"/home/me/work.yaml"}}
	home := Spec{Role: Up, RunAs: "me", Executable: "/usr/bin/culvert", StateDir: "/home/me/.config/culvert"}
	srv := Spec{Role: Up, RunAs: "me", Executable: "/usr/bin/culvert", StateDir: "/srv/cul vert"}
	mac := Spec{Role: Up, User: true, Executable: "/usr/local/bin/culvert", StateDir: "/Users/me/Library/Application Support/culvert", Home: "/Users/me"}
	daemon := Spec{Role: Relay, Instance: "eu", RunAs: "me", Executable: "/usr/local/bin/culvert", StateDir: "/Users/me/<&>", Home: "/Users/me", Args: []string{"--behind-proxy"}}
	windows := Spec{Role: Up, Instance: "office", RunAs: `NT SERVICE\culvert-office`, Executable: `C:\Program Files\culvert\culvert.exe`, StateDir: `C:\ProgramData\culvert-office`}
	for file, s := range map[string]Spec{"up.service": linux, "relay.service": relay, "user.service": own, "home.service": home, "srv.service": srv} {
		text, err := Unit(s)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		golden(t, filepath.Join("testdata", file), text)
	}
	for file, s := range map[string]Spec{"agent.plist": mac, "daemon.plist": daemon} {
		text, err := Plist(s)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		golden(t, filepath.Join("testdata", file), text)
	}
	c, err := Definition(windows, "windows")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/windows.json", string(b)+"\n")
}

// The text of a definition goes through kardianos/service's templates as it is.
func TestDefinitionText(t *testing.T) {
	for goos, option := range map[string]string{"linux": "SystemdScript", "darwin": "LaunchdConfig"} {
		s := Spec{Role: Up, User: true, Executable: "/usr/bin/culvert", StateDir: "/s", Home: "/h"}
		c, err := Definition(s, goos)
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := c.Option[option].(string); !ok || strings.Contains(text, "{{") || c.Option["UserService"] != true {
			t.Errorf("%s: %q", goos, text)
		}
	}
}

// TestSpecRefused: nothing becomes part of a definition that would mean something else there.
func TestSpecRefused(t *testing.T) {
	good := Spec{Role: Up, Executable: "/usr/bin/culvert", StateDir: "/s"}
	for name, change := range map[string]func(*Spec){
		"role":           func(s *Spec) { s.Role = "demo" },
		"instance":       func(s *Spec) { s.Instance = "a/b" },
		"upper case":     func(s *Spec) { s.Instance = "A" },
		"like a relay":   func(s *Spec) { s.Instance = "relay" },
		"like a relay 2": func(s *Spec) { s.Instance = "relay-eu" },
		"line end":       func(s *Spec) { s.StateDir = "/s\nExecStartPre=/bin/sh" },
		"template":       func(s *Spec) { s.Args = []string{"{{Path}}"} },
		"control":        func(s *Spec) { s.Args = []string{"\x1b"} },
		"user":           func(s *Spec) { s.RunAs = "me\nRoot=yes" },
	} {
		s := good
		change(&s)
		if _, err := Unit(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := Plist(s); err == nil {
			t.Errorf("%s: accepted for launchd", name)
		}
	}
	odd := good
	odd.Executable = "/usr/$HOME/culvert"
	if _, err := Unit(odd); err == nil {
		t.Error("a variable in the program's path is accepted")
	}
	for _, exe := range []string{"/home/me/culvert", "/tmp/culvert", "/root/go/bin/culvert", "/tmp/go-build1/culvert"} {
		s := good
		if s.Executable = exe; s.checkExecutable("linux") == nil {
			t.Errorf("a system service may run %s", exe)
		}
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		s                       Spec
		linux, darwin, stateDir string
	}{
		{Spec{Role: Up}, "culvert", "org.culvert.up", "/var/lib/culvert"},
		{Spec{Role: Up, Instance: "a"}, "culvert-a", "org.culvert.up.a", "/var/lib/culvert-a"},
		{Spec{Role: Relay}, "culvert-relay", "org.culvert.relay", "/var/lib/culvert-relay"},
		{Spec{Role: Relay, Instance: "a"}, "culvert-relay-a", "org.culvert.relay.a", "/var/lib/culvert-relay-a"},
	} {
		dir, err := test.s.defaultStateDir("linux", "")
		if got := test.s.Name("linux"); got != test.linux || test.s.Name("darwin") != test.darwin || dir != test.stateDir || err != nil {
			t.Errorf("%+v: %s, %s, %s, %v", test.s, got, test.s.Name("darwin"), dir, err)
		}
	}
}

// Only what was made for the service is purged.
func TestPurgeMark(t *testing.T) {
	dir := t.TempDir()
	if err := checkMark(dir, "culvert"); err == nil {
		t.Error("a directory without a mark would be removed")
	}
	if err := os.WriteFile(filepath.Join(dir, markName), []byte("culvert-a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkMark(dir, "culvert"); err == nil {
		t.Error("another service's directory would be removed")
	}
	if err := checkMark(dir, "culvert-a"); err != nil {
		t.Error(err)
	}
}
