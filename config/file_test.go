package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const goodFile = `# a comment
name: laptop
hold_time: 15m
when_held: refuse
log_level: debug
log_format: json
targets:
  web: 3000
  ssh: 127.0.0.1:22
  db: unix:/run/db.sock
  v6: "[::1]:80"
forwards:
  server:
    - 8080:web          # to the web
    - ssh
    - {forward: "0:db", when_held: wait}
    - forward: unix:/tmp/x.sock:db
      when_held: refuse
  other: 0.0.0.0:9000:app
`

func TestParseFile(t *testing.T) {
	f, err := ParseFile("c.yaml", []byte(goodFile))
	if err != nil {
		t.Fatal(err)
	}
	if f.Name.Text != "laptop" || f.Name.Line != 2 || f.Name.Column != 7 {
		t.Errorf("name = %+v", f.Name)
	}
	if f.HoldTime != 15*time.Minute || f.WhenHeld.Text != "refuse" || f.LogLevel.Text != "debug" || f.LogFormat.Text != "json" {
		t.Errorf("settings = %+v", f)
	}
	var got []string
	for _, x := range f.Targets {
		got = append(got, x.Spec())
	}
	if g, w := strings.Join(got, " "), "web=3000 ssh=127.0.0.1:22 db=unix:/run/db.sock v6=[::1]:80"; g != w {
		t.Errorf("targets = %s, want %s", g, w)
	}
	got = nil
	for _, x := range f.Forwards {
		got = append(got, x.Daemon.Text+" "+x.Forward.Text+" "+x.WhenHeld.Text)
	}
	want := "server 8080:web |server ssh |server 0:db wait|server unix:/tmp/x.sock:db refuse|other 0.0.0.0:9000:app "
	if g := strings.Join(got, "|"); g != want {
		t.Errorf("forwards = %s\nwant %s", g, want)
	}
	if ff := f.Forwards[0].Forward; ff.Line != 14 || ff.Column != 7 {
		t.Errorf("first forward at %d:%d, want 14:7", ff.Line, ff.Column)
	}
	p := f.Problem(f.Targets[0].Address, errors.New("no such thing"))
	if g, w := p.Error(), "c.yaml:8:8: no such thing"; g != w {
		t.Errorf("problem = %q, want %q", g, w)
	}
}

func TestParseFileEmpty(t *testing.T) {
	for _, s := range []string{"", "\n", "# only a comment\n", "---\n"} {
		f, err := ParseFile("c.yaml", []byte(s))
		if err != nil {
			t.Errorf("ParseFile(%q): %v", s, err)
			continue
		}
		if f.Name.Given() || len(f.Targets)+len(f.Forwards) != 0 {
			t.Errorf("ParseFile(%q) = %+v, want an empty file", s, f)
		}
	}
}

func TestParseFileMistakes(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string // one per mistake, in order
	}{
		{"unknown key", "nmae: x\n", []string{`c.yaml:1:1: unknown key "nmae": did you mean "name"?`}},
		{"far unknown key", "colour: x\n", []string{`c.yaml:1:1: unknown key "colour": the keys of the file are name, hold_time`}},
		{"duplicate", "name: a\nname: b\n", []string{`c.yaml:2:1: key "name" stands twice, first on line 1`}},
		{"duplicate target", "targets:\n  web: 1\n  web: 2\n", []string{`c.yaml:3:3: key "web" stands twice, first on line 2`}},
		{"all at once", "name: 'a b'\nhold_time: soon\nwhen_held: refsue\ntargts: {}\n", []string{
			`c.yaml:1:7: name "a b"`,
			`c.yaml:2:12: "soon" is no duration`,
			`c.yaml:3:12: "refsue" is not allowed here: did you mean refuse?`,
			`c.yaml:4:1: unknown key "targts": did you mean "targets"?`,
		}},
		{"duration", "hold_time: 0s\n", []string{"more than 0"}},
		{"long duration", "hold_time: 48h\n", []string{"at most 24h"}},
		{"level", "log_level: loud\n", []string{`1:12: "loud" is not allowed here: use debug or info or warn or error`}},
		{"targets as list", "targets:\n  - web=3000\n", []string{"targets must be a mapping: write NAME: ADDRESS"}},
		{"target without address", "targets:\n  web:\n", []string{`"web" must be one word`}},
		{"empty address", "targets:\n  web: ''\n", []string{"2:8: the address is empty"}},
		{"nested target", "targets:\n  web:\n    port: 3\n", []string{`3:5: "web" must be one word`}},
		{"flow bracket", "forwards:\n  a:\n    - [::1]:80:web\n", []string{"c.yaml:3:"}},
		{"forward mapping unknown key", "forwards:\n  a:\n    - forward: web\n      when_hold: wait\n", []string{`4:7: unknown key "when_hold": did you mean "when_held"?`}},
		{"forward mapping without forward", "forwards:\n  a:\n    - when_held: wait\n", []string{"3:7: the key forward is missing"}},
		{"top is a list", "- a\n- b\n", []string{"the file must be a mapping"}},
		{"top is a word", "hello\n", []string{"1:1: the file must be a mapping"}},
		{"two documents", "name: a\n---\nname: b\n", []string{"3:1: a second document"}},
		{"anchor", "name: &x a\n", []string{"without anchors"}},
		{"alias", "targets:\n  a: &x 1\n  b: *x\n", []string{"2:6", "3:6"}},
		{"tab", "targets:\n\tweb: 1\n", []string{"c.yaml:2:1: not valid YAML"}},
		{"unclosed", "name: \"a\n", []string{"not valid YAML"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseFile("c.yaml", []byte(tt.in))
			var es FileErrors
			if !errors.As(err, &es) {
				t.Fatalf("ParseFile(%q) = %v, want FileErrors", tt.in, err)
			}
			if len(es) != len(tt.want) {
				t.Fatalf("ParseFile(%q): got %d mistakes, want %d:\n%v", tt.in, len(es), len(tt.want), err)
			}
			for i, w := range tt.want {
				if !strings.Contains(es[i].Error(), w) {
					t.Errorf("mistake %d = %q, want it to hold %q", i, es[i], w)
				}
			}
			if le, ok := errors.AsType[*LineError](err); !ok || le != es[0] {
				t.Errorf("errors.AsType finds %v, want the first mistake", le)
			}
		})
	}
}

func TestLoadFile(t *testing.T) {
	d := openDir(t)
	if _, err := d.ConfigFile(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("missing file: got %v, want fs.ErrNotExist", err)
	}
	path := d.File("config.yaml")
	writeFile(t, path, goodFile, 0o644)
	f, err := d.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if f.Path != path {
		t.Errorf("Path = %s, want %s", f.Path, path)
	}
	chmod(t, path, 0o664)
	if _, err := LoadFile(path); err != nil {
		t.Errorf("group-writable file in a private directory: %v", err)
	}
	open := t.TempDir()
	chmod(t, open, 0o755)
	path = filepath.Join(open, "config.yaml")
	writeFile(t, path, goodFile, 0o666)
	if pe, ok := errors.AsType[*PermissionError](loadErr(LoadFile(path))); !ok || !strings.Contains(pe.Error(), "chmod 600") {
		t.Errorf("world-writable file: got %v, want *PermissionError with the mend", pe)
	}
	big := filepath.Join(t.TempDir(), "big.yaml")
	writeFile(t, big, strings.Repeat("# filler\n", maxConfig/8), 0o600)
	if _, err := LoadFile(big); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("huge file: got %v", err)
	}
}

func loadErr(_ *File, err error) error { return err }

func FuzzParseFile(f *testing.F) {
	f.Add(goodFile)
	f.Add("targets: {a: 1, b: [::1]:3}\n")
	f.Add("a: &x\n  b: *x\n")
	f.Fuzz(func(t *testing.T, s string) {
		file, err := ParseFile("c.yaml", []byte(s))
		if (file == nil) == (err == nil) {
			t.Fatalf("ParseFile(%q) = %v, %v", s, file, err)
		}
		var es FileErrors
		if errors.As(err, &es) {
			for _, e := range es {
				if e.Line < 1 || e.Msg == "" {
					t.Fatalf("ParseFile(%q): mistake without a place: %+v", s, e)
				}
			}
		}
	})
}
