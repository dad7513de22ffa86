package config

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"culvert/sbrp"
)

// write replaces authorized_clients as an editor would: in place.
func write(t *testing.T, d *Dir, lines ...string) {
	t.Helper()
	writeFile(t, d.File(clientsFile), strings.Join(lines, "\n")+"\n", 0o600)
}

func reason(t *testing.T, err error) Denial {
	t.Helper()
	if err == nil {
		return ""
	}
	de, ok := errors.AsType[*DeniedError](err)
	if !ok {
		t.Fatalf("got %v, want *DeniedError", err)
	}
	if de.Denied() != string(de.Reason) {
		t.Errorf("Denied() = %q, Reason = %q", de.Denied(), de.Reason)
	}
	return de.Reason
}

func TestAllowed(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	a.now = func() time.Time { return now }
	if got := reason(t, a.Allowed(key(1), "web")); got != NotAuthorized {
		t.Errorf("without a file: %q, want not_authorized", got)
	}
	write(t, d,
		"# comment",
		key(1).String()+" laptop targets=web,ssh",
		key(2).String()+"  phone  targets=*  expires=2026-05-01T12:00:01Z",
		key(3).String()+" tablet targets=web expires=2026-05-01T12:00:00Z",
	)
	tests := []struct {
		key    byte
		target string
		want   Denial
	}{
		{1, "web", ""}, {1, "ssh", ""}, {1, "db", TargetNotGranted}, {1, "we", TargetNotGranted}, {1, "*", TargetNotGranted}, {1, "", TargetNotGranted},
		{2, "web", ""}, {2, "anything", ""},
		{3, "web", Expired}, {3, "db", Expired},
		{4, "web", NotAuthorized},
	}
	for _, tt := range tests {
		if got := reason(t, a.Allowed(key(tt.key), tt.target)); got != tt.want {
			t.Errorf("Allowed(%d, %q) = %q, want %q", tt.key, tt.target, got, tt.want)
		}
	}
	if got := reason(t, a.Allowed([32]byte{}, "web")); got != NotAuthorized {
		t.Errorf("the zero key: %q", got)
	}
	now = now.Add(time.Second)
	if got := reason(t, a.Allowed(key(2), "web")); got != Expired {
		t.Errorf("a second later: %q, want expired", got)
	}
	g, err := a.Lookup(key(1))
	if err != nil || g.Name != "laptop" || g.Line != 2 || !slices.Equal(g.Targets, []string{"web", "ssh"}) {
		t.Errorf("Lookup = %+v, %v", g, err)
	}
	g.Targets[0] = "stolen" // a copy: the set must not change
	if err := a.Allowed(key(1), "web"); err != nil {
		t.Errorf("after the caller changed its copy: %v", err)
	}
	for _, err := range []error{a.Allowed(key(9), "web"), a.Allowed(key(3), "web"), a.Allowed(key(1), "db")} {
		if strings.Contains(err.Error(), "SHA256") || err.Error() == "" {
			t.Errorf("DeniedError text: %v", err)
		}
	}
}

// The moment an edit is saved it counts, however fast one edit follows another.
func TestEditsTakeEffectAtOnce(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	line := func(target string) string { return key(1).String() + " laptop targets=" + target }
	stamp := time.Now().Add(-time.Second)
	for i := range 50 {
		target := []string{"aaa", "bbb"}[i%2] // same size: only the time could tell
		write(t, d, line(target))
		if err := os.Chtimes(d.File(clientsFile), stamp, stamp); err != nil { // and it does not
			t.Fatal(err)
		}
		if err := a.Allowed(key(1), target); err != nil {
			t.Fatalf("edit %d: %v", i, err)
		}
	}
	if err := os.Remove(d.File(clientsFile)); err != nil {
		t.Fatal(err)
	}
	_ = a.Allowed(key(1), "bbb") // it is seen to be gone
	later := time.Now().Add(settle)
	a.now = func() time.Time { return later }
	if got := reason(t, a.Allowed(key(1), "bbb")); got != NotAuthorized {
		t.Errorf("after the file was removed: %q", got)
	}
}

// Editors empty, remove or half write a file for a moment: nobody loses his grant by that,
// while one that is taken out of a whole file loses it at once.
func TestEditorOnItsWay(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	now := time.Now()
	a.now = func() time.Time { return now }
	told := 0
	a.OnProblem(func(error) { told++ })
	one, two := key(1).String()+" laptop targets=web\n", key(2).String()+" phone targets=web\n"
	file := d.File(clientsFile)
	allowed := func(what string, want ...bool) {
		t.Helper()
		for i, want := range want {
			if got := a.Allowed(key(byte(i+1)), "web") == nil; got != want {
				t.Errorf("%s: client %d may %t, want %t", what, i+1, got, want)
			}
		}
	}
	for what, half := range map[string]string{"emptied": "", "half a line": one + two[:len(two)-4], "less": one[:20], "removed": "-"} {
		writeFile(t, file, one+two, 0o600)
		allowed(what+": before", true, true)
		if half == "-" {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		} else {
			writeFile(t, file, half, 0o600)
		}
		allowed(what+": at once", true, true)
		now = now.Add(settle - 1)
		allowed(what+": soon", true, true)
		if told > 0 {
			t.Errorf("%s: a problem is told of what is being written", what)
		}
		writeFile(t, file, two, 0o600)
		allowed(what+": one was taken out", false, true)
		writeFile(t, file, half, 0o600)
		allowed(what+": again", false, true)
		now = now.Add(settle)
		if half == one+two[:len(two)-4] {
			half = ""
			writeFile(t, file, half, 0o600)
			allowed(what+": emptied then", false, false)
		}
		allowed(what+": it stays so", false, false)
		told = 0
	}
}

// The last one's revocation counts at once, for other processes too.
func TestLastOneRevoked(t *testing.T) {
	d := openDir(t)
	write(t, d, key(1).String()+" laptop targets=web")
	other := openAt(t, d.Path()).AuthorizedClients()
	if err := other.Allowed(key(1), "web"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AuthorizedClients().Revoke("laptop"); err != nil {
		t.Fatal(err)
	}
	if got := reason(t, other.Allowed(key(1), "web")); got != NotAuthorized {
		t.Errorf("after the last one was revoked: %q", got)
	}
}

// An unchanged old file is not read again.
func TestUnchangedFileIsNotRead(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	write(t, d, key(1).String()+" laptop targets=web")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(d.File(clientsFile), old, old); err != nil {
		t.Fatal(err)
	}
	if err := a.Allowed(key(1), "web"); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = a.Allowed(key(1), "web") }); n > 12 {
		t.Errorf("%v allocations per question: is the file read each time?", n)
	}
}

func TestBrokenLinesAreDisabledLoudly(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	var told []string
	a.OnProblem(func(err error) { told = append(told, err.Error()) })
	write(t, d,
		key(1).String()+" good targets=web",
		key(2).String()+" typo target=web",
		key(3).String()[:20]+" short targets=web",
		key(4).String()+" twice targets=web",
		key(4).String()+" twice targets=*",
		key(5).String()+" limit targets=web until=2026-01-01",
		key(6).String()+" date targets=web expires=soon",
		key(7).String()+" star targets=*,web",
		key(8).String()+" none targets=",
		key(9).String()+" bad/name targets=web",
		key(10).String()+" noattr",
		"\xff\xfe",
		key(11).String()+" last targets=web",
	)
	for n, want := range map[byte]Denial{1: "", 2: NotAuthorized, 3: NotAuthorized, 4: NotAuthorized, 5: NotAuthorized, 6: NotAuthorized, 7: NotAuthorized, 8: NotAuthorized, 9: NotAuthorized, 10: NotAuthorized, 11: ""} {
		if got := reason(t, a.Allowed(key(n), "web")); got != want {
			t.Errorf("client %d: %q, want %q", n, got, want)
		}
	}
	gs, bad, err := a.List()
	if err != nil || len(gs) != 2 {
		t.Errorf("List = %v, %v", gs, err)
	}
	var at []int
	for _, b := range bad {
		at = append(at, b.Line)
		if strings.Contains(b.Error(), key(3).String()[:20]) {
			t.Errorf("the problem repeats a damaged key: %v", b)
		}
	}
	if want := []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; !slices.Equal(at, want) {
		t.Errorf("problems on lines %v, want %v", at, want)
	}
	if len(told) != len(bad) {
		t.Errorf("OnProblem was told %d times, want once for each of %d: %q", len(told), len(bad), told)
	}
	if !strings.Contains(told[0], `did you mean "targets"?`) || !strings.Contains(told[0], clientsFile+":2:") {
		t.Errorf("first problem: %s", told[0])
	}
	// Mended, and broken again: told again.
	write(t, d, key(1).String()+" good targets=web")
	_ = a.Allowed(key(1), "web")
	write(t, d, key(2).String()+" typo target=web")
	n := len(told)
	_ = a.Allowed(key(1), "web")
	_ = a.Allowed(key(1), "web")
	if len(told) != n+1 {
		t.Errorf("a problem that came back was told %d times, want once", len(told)-n)
	}
}

func TestUnusableFileAllowsNobody(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	told := 0
	a.OnProblem(func(error) { told++ })
	write(t, d, key(1).String()+" laptop targets=*")
	if runtime.GOOS != "windows" {
		chmod(t, d.File(clientsFile), 0o666)
		err := a.Allowed(key(1), "web")
		if _, ok := errors.AsType[*PermissionError](err); !ok {
			t.Errorf("a file that others can change: got %v, want *PermissionError", err)
		}
		if _, _, err := a.List(); err == nil {
			t.Error("List worked")
		}
		if _, err := a.Grant(Grant{Key: key(2), Targets: []string{"web"}}); err == nil {
			t.Error("Grant into such a file worked")
		}
		chmod(t, d.File(clientsFile), 0o600)
		if err := a.Allowed(key(1), "web"); err != nil {
			t.Errorf("after the mend: %v", err)
		}
	}
	if err := os.Remove(d.File(clientsFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.File(clientsFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := a.Allowed(key(1), "web"); err == nil {
		t.Error("a directory in the file's place allows")
	}
	if told == 0 {
		t.Error("OnProblem was not told")
	}
}

func TestGrantAndRevoke(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	expires := time.Now().Add(time.Hour)
	g, err := a.Grant(Grant{Key: key(1), Name: "laptop", Targets: []string{"web"}, Expires: expires})
	if err != nil || g.Name != "laptop" || !g.Expires.Equal(expires.Truncate(time.Second)) {
		t.Fatalf("Grant = %+v, %v", g, err)
	}
	text := readFile(t, d.File(clientsFile))
	if !strings.HasPrefix(text, clientsHeader) || g.Line != strings.Count(text, "\n") {
		t.Errorf("new file (line %d):\n%s", g.Line, text)
	}
	// A hand-written comment and a broken line stay through every edit.
	extra := "# my phone\nbroken line here\n"
	writeFile(t, d.File(clientsFile), text+extra, 0o600)
	// By key: replaced, the name stays, no expiry any more.
	g, err = a.Grant(Grant{Key: key(1), Targets: []string{"db", "ssh"}})
	if err != nil || g.Name != "laptop" || !g.Expires.IsZero() {
		t.Fatalf("second Grant = %+v, %v", g, err)
	}
	if err := a.Allowed(key(1), "db"); err != nil {
		t.Error(err)
	}
	if reason(t, a.Allowed(key(1), "web")) != TargetNotGranted {
		t.Error("Grant merged, want it to replace")
	}
	// By name.
	if _, err := a.Grant(Grant{Name: "laptop", Targets: []string{"*"}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Allowed(key(1), "web"); err != nil {
		t.Error(err)
	}
	if _, err := a.Grant(Grant{Name: "nobody", Targets: []string{"*"}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("Grant to an unknown name: %v", err)
	}
	// Another key with the same name, and one without a name.
	g2, err := a.Grant(Grant{Key: key(2), Name: "laptop", Targets: []string{"web"}})
	if err != nil || g2.Name != "laptop-2" {
		t.Errorf("second laptop = %q, %v", g2.Name, err)
	}
	g3, err := a.Grant(Grant{Key: key(3), Targets: []string{"web"}})
	if err != nil || !strings.HasPrefix(g3.Name, "client-") || CheckName(g3.Name) != nil {
		t.Errorf("nameless client = %q, %v", g3.Name, err)
	}
	long := strings.Repeat("x", MaxName)
	for i := range 3 {
		g, err := a.Grant(Grant{Key: key(byte(20 + i)), Name: long, Targets: []string{"web"}})
		if err != nil || CheckName(g.Name) != nil {
			t.Errorf("long name %d: %q, %v", i, g.Name, err)
		}
	}
	if got := readFile(t, d.File(clientsFile)); !strings.Contains(got, extra) || !strings.HasPrefix(got, clientsHeader) {
		t.Errorf("comments or broken lines were lost:\n%s", got)
	}
	// Revoke by name, by key, by fingerprint.
	for _, by := range []string{"laptop", key(2).String(), key(3).Fingerprint().String()} {
		if _, err := a.Revoke(by); err != nil {
			t.Errorf("Revoke(%s): %v", by, err)
		}
		if _, err := a.Revoke(by); !errors.Is(err, ErrNotFound) {
			t.Errorf("Revoke(%s) again: %v", by, err)
		}
	}
	for n := range byte(3) {
		if reason(t, a.Allowed(key(n+1), "web")) != NotAuthorized {
			t.Errorf("client %d is still authorized", n+1)
		}
	}
	if got := readFile(t, d.File(clientsFile)); !strings.Contains(got, extra) {
		t.Errorf("Revoke lost comments or broken lines:\n%s", got)
	}
}

func TestRevokeRemovesDoubledLines(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	write(t, d, key(1).String()+" a targets=web", key(2).String()+" b targets=web", key(1).String()+" c targets=*")
	if g, err := a.Revoke("c"); err != nil || g.Key != key(1) {
		t.Fatalf("Revoke = %+v, %v", g, err)
	}
	if got := readFile(t, d.File(clientsFile)); strings.Contains(got, key(1).String()) || !strings.Contains(got, key(2).String()) {
		t.Errorf("left:\n%s", got)
	}
	// Grant mends doubled lines.
	write(t, d, key(1).String()+" a targets=web", key(1).String()+" c targets=*")
	if _, err := a.Grant(Grant{Key: key(1), Targets: []string{"db"}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Allowed(key(1), "db"); err != nil {
		t.Error(err)
	}
}

// A client's own choice of name cannot stand for another client.
func TestNameCannotPoseAsKey(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	victim := key(1)
	// A public key's text can be a valid name.
	name := victim.String()
	if CheckName(name) != nil {
		victim = key(2)
		name = victim.String()
	}
	if err := CheckName(name); err != nil {
		t.Fatalf("no test key makes a name: %v", err)
	}
	for _, g := range []Grant{{Key: key(9), Name: name, Targets: []string{"*"}}, {Key: victim, Name: "victim", Targets: []string{"web"}}} {
		if _, err := a.Grant(g); err != nil {
			t.Fatal(err)
		}
	}
	if g, err := a.Revoke(name); err != nil || g.Key != victim {
		t.Errorf("Revoke by key revoked %+v, %v", g, err)
	}
	write(t, d, key(3).String()+" same targets=web", key(4).String()+" same targets=web")
	if _, err := a.Revoke("same"); err == nil || !strings.Contains(err.Error(), "give the key") {
		t.Errorf("an ambiguous name: %v", err)
	}
}

func TestGrantRefusals(t *testing.T) {
	a := openDir(t).AuthorizedClients()
	for name, g := range map[string]Grant{
		"no targets":     {Key: key(1), Name: "a"},
		"empty target":   {Key: key(1), Name: "a", Targets: []string{""}},
		"comma":          {Key: key(1), Name: "a", Targets: []string{"a,b"}},
		"star and more":  {Key: key(1), Name: "a", Targets: []string{"*", "b"}},
		"doubled target": {Key: key(1), Name: "a", Targets: []string{"b", "b"}},
		"bad name":       {Key: key(1), Name: "a b", Targets: []string{"b"}},
		"no key no name": {Targets: []string{"b"}},
	} {
		if _, err := a.Grant(g); err == nil {
			t.Errorf("%s: Grant worked", name)
		}
	}
	if _, err := os.Stat(a.dir.File(clientsFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("refused grants made a file: %v", err)
	}
}

func TestAllowedWhileEdited(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	if _, err := a.Grant(Grant{Key: key(1), Name: "steady", Targets: []string{"*"}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := a.Allowed(key(1), "web"); err != nil {
					t.Errorf("Allowed during edits: %v", err)
					return
				}
			}
		})
	}
	other := openAt(t, d.Path()).AuthorizedClients()
	for i := range 20 {
		if _, err := other.Grant(Grant{Key: key(2), Name: fmt.Sprintf("n%d", i), Targets: []string{"web"}}); err != nil {
			t.Error(err)
		}
		if _, err := a.Revoke(key(2).String()); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}

func FuzzParseClient(f *testing.F) {
	f.Add(key(1).String() + " laptop targets=web,ssh expires=2026-05-01T12:00:00Z")
	f.Add(key(2).String() + ` x targets="*"`)
	f.Fuzz(func(t *testing.T, line string) {
		g, err := parseClient(line)
		if err != nil {
			return
		}
		again, err := parseClient(string(appendClient(nil, g)))
		if err != nil {
			t.Fatalf("%q parses, but not as it is written again (%q): %v", line, appendClient(nil, g), err)
		}
		g.Expires = g.Expires.Truncate(time.Second)
		if !again.Equal(g) {
			t.Errorf("round trip: %+v became %+v", g, again)
		}
		if g.Key == (sbrp.PublicKey{}) || len(g.Targets) == 0 {
			t.Errorf("%q grants something to nobody, or nothing: %+v", line, g)
		}
	})
}
