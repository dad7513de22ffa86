package config

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
)

func daemon(name, id string, k byte, trust Trust) KnownDaemon {
	return KnownDaemon{Name: name, ID: id, Key: key(k), Trust: trust, ControlURL: "https://relay.example.org"}
}

func add(t *testing.T, k *KnownDaemons, ds ...KnownDaemon) {
	t.Helper()
	for _, d := range ds {
		if err := k.Add(d); err != nil {
			t.Fatalf("Add(%s): %v", d.Name, err)
		}
	}
}

func TestKnownDaemonsAddLookupForget(t *testing.T) {
	k := openDir(t).KnownDaemons()
	if _, err := k.Lookup("x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Lookup without a file: %v, want ErrNotFound", err)
	}
	when := time.Date(2026, 1, 2, 3, 4, 5, 999, time.FixedZone("X", 3600))
	want := KnownDaemon{Name: "laptop", ID: "d_1", Key: key(1), Trust: TrustPaired, When: when, ControlURL: "https://r", CAFile: "/etc/my ca.pem"}
	add(t, k, want, daemon("server", "d_2", 2, TrustAccepted))
	for _, by := range []string{"laptop", "d_1"} {
		got, err := k.Lookup(by)
		if err != nil {
			t.Fatal(err)
		}
		if !got.When.Equal(when.Truncate(time.Second)) || got.Line == 0 {
			t.Errorf("When = %v, Line = %d", got.When, got.Line)
		}
		got.When, got.Line = want.When, 0
		if got != want {
			t.Errorf("Lookup(%q) = %+v, want %+v", by, got, want)
		}
	}
	if err := k.Check("laptop", key(1)); err != nil {
		t.Errorf("Check with the right key: %v", err)
	}
	if err := k.Check("nobody", key(1)); !errors.Is(err, ErrNotFound) {
		t.Errorf("Check of an unknown daemon: %v", err)
	}
	gone, err := k.Forget("d_1")
	if err != nil || gone.Name != "laptop" {
		t.Errorf("Forget = %+v, %v", gone, err)
	}
	if _, err := k.Forget("laptop"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Forget again: %v", err)
	}
	ds, bad, err := k.List()
	if err != nil || len(bad) != 0 || len(ds) != 1 || ds[0].Name != "server" {
		t.Errorf("List = %v, %v, %v", ds, bad, err)
	}
}

func TestKnownDaemonsKeyChanged(t *testing.T) {
	k := openDir(t).KnownDaemons()
	add(t, k, daemon("laptop", "d_1", 1, TrustPaired))
	before := readFile(t, k.dir.File(knownFile))
	for name, try := range map[string]KnownDaemon{
		"same name and id": daemon("laptop", "d_1", 9, TrustPaired),
		"same name":        daemon("laptop", "d_9", 9, TrustPaired),
		"same id":          daemon("other", "d_1", 9, TrustPaired),
	} {
		ce, ok := errors.AsType[*KeyChangedError](k.Add(try))
		if !ok {
			t.Errorf("%s: no KeyChangedError", name)
			continue
		}
		if ce.Pinned != key(1) || ce.Got != key(9) || ce.Name != "laptop" || ce.ID != "d_1" {
			t.Errorf("%s: %+v", name, ce)
		}
		for _, fp := range []sbrp.Fingerprint{key(1).Fingerprint(), key(9).Fingerprint()} {
			if !strings.Contains(ce.Error(), fp.String()) {
				t.Errorf("%s: the text does not show %s", name, fp)
			}
		}
	}
	if ce, ok := errors.AsType[*KeyChangedError](k.Check("d_1", key(9))); !ok || ce.Got != key(9) {
		t.Errorf("Check with another key: %v", ce)
	}
	if got := readFile(t, k.dir.File(knownFile)); got != before {
		t.Errorf("a refused key changed the file:\n%s", got)
	}
	if err := k.Replace(daemon("laptop", "d_1", 9, TrustAccepted)); err != nil {
		t.Fatal(err)
	}
	got, err := k.Lookup("laptop")
	if err != nil || got.Key != key(9) || got.Trust != TrustAccepted {
		t.Errorf("after Replace: %+v, %v (trust in the old key must not pass to the new one)", got, err)
	}
}

func TestKnownDaemonsUpdateInPlace(t *testing.T) {
	k := openDir(t).KnownDaemons()
	add(t, k, daemon("laptop", "d_1", 1, TrustPaired), daemon("server", "d_2", 2, TrustControlPlane))
	first, err := k.Lookup("laptop")
	if err != nil {
		t.Fatal(err)
	}
	// The same key again, with weaker trust and a new name and URL.
	again := daemon("book", "d_1", 1, TrustControlPlane)
	again.ControlURL = "https://new"
	again.When = time.Now().Add(time.Hour)
	add(t, k, again)
	got, err := k.Lookup("book")
	if err != nil || got.Trust != TrustPaired || !got.When.Equal(first.When) || got.ControlURL != "https://new" || got.Line != first.Line {
		t.Errorf("after the second Add: %+v, %v", got, err)
	}
	if _, err := k.Lookup("laptop"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the old name is still there: %v", err)
	}
	// Stronger trust replaces weaker.
	add(t, k, daemon("server", "d_2", 2, TrustPaired))
	if got, err := k.Lookup("server"); err != nil || got.Trust != TrustPaired {
		t.Errorf("stronger trust: %+v, %v", got, err)
	}
	// A daemon that is registered anew (same name and key, other id).
	add(t, k, daemon("server", "d_3", 2, TrustPaired))
	if got, err := k.Lookup("server"); err != nil || got.ID != "d_3" {
		t.Errorf("new id: %+v, %v", got, err)
	}
	// One that takes the name of one entry and the id of another.
	add(t, k, daemon("a", "i1", 5, TrustPaired), daemon("b", "i2", 5, TrustPaired), daemon("a", "i2", 5, TrustPaired))
	ds, bad, err := k.List()
	if err != nil || len(bad) != 0 || len(ds) != 3 {
		t.Errorf("List = %v, %v, %v, want book, server and a", ds, bad, err)
	}
}

func TestKnownDaemonsRefusals(t *testing.T) {
	k := openDir(t).KnownDaemons()
	add(t, k, daemon("laptop", "d_1", 1, TrustPaired))
	bad := map[string]KnownDaemon{
		"bad name":     daemon("a b", "d_2", 2, TrustPaired),
		"no id":        daemon("a", "", 2, TrustPaired),
		"space in id":  daemon("a", "d 2", 2, TrustPaired),
		"no key":       {Name: "a", ID: "d_2", Trust: TrustPaired},
		"no trust":     daemon("a", "d_2", 2, ""),
		"other trust":  daemon("a", "d_2", 2, "guessed"),
		"name is id":   daemon("d_1", "d_2", 2, TrustPaired),
		"id is name":   daemon("a", "laptop", 2, TrustPaired),
		"line in URL":  {Name: "a", ID: "d_2", Key: key(2), Trust: TrustPaired, ControlURL: "https://x\nevil"},
		"line in file": {Name: "a", ID: "d_2", Key: key(2), Trust: TrustPaired, CAFile: "x\x00"},
	}
	for name, d := range bad {
		if err := k.Add(d); err == nil {
			t.Errorf("%s: Add worked", name)
		}
	}
	if ds, _, _ := k.List(); len(ds) != 1 {
		t.Errorf("List = %v", ds)
	}
	add(t, k, daemon("same", "same", 3, TrustPaired), daemon("same", "same", 3, TrustPaired))
}

// Damage must not make a pinned daemon look like one that was never seen.
func TestKnownDaemonsDamageFailsClosed(t *testing.T) {
	d := openDir(t)
	k := d.KnownDaemons()
	add(t, k, daemon("laptop", "d_1", 1, TrustPaired), daemon("server", "d_2", 2, TrustPaired))
	text := readFile(t, d.File(knownFile))
	damaged := strings.Replace(text, "laptop "+key(1).String(), "laptop "+key(1).String()[:30], 1)
	writeFile(t, d.File(knownFile), damaged, 0o600)
	le, ok := errors.AsType[*LineError](func() error { _, err := k.Lookup("laptop"); return err }())
	if !ok || le.Line == 0 || !strings.Contains(le.Error(), "public key is damaged") {
		t.Errorf("Lookup of the damaged line: %v, want *LineError", le)
	}
	if _, err := k.Lookup("server"); err != nil {
		t.Errorf("Lookup of a good line: %v", err)
	}
	// Edits keep the damaged line and comments.
	add(t, k, daemon("third", "d_3", 3, TrustPaired))
	got := readFile(t, d.File(knownFile))
	if !strings.HasPrefix(got, damaged) {
		t.Errorf("an edit changed other lines:\n%s", got)
	}
	// The same name or id twice: neither counts.
	for _, extra := range []string{daemonLine(daemon("server", "d_8", 8, TrustPaired)), daemonLine(daemon("evil", "d_2", 8, TrustPaired)), daemonLine(daemon("d_2", "d_8", 8, TrustPaired))} {
		writeFile(t, d.File(knownFile), text+extra, 0o600)
		if got, err := k.Lookup("server"); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("a doubled line %q: Lookup = %v, %v", extra, got.Key, err)
		}
	}
	if runtime.GOOS != "windows" {
		writeFile(t, d.File(knownFile), text, 0o600)
		chmod(t, d.File(knownFile), 0o620)
		if _, err := k.Lookup("nobody"); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("a file that others can change: %v", err)
		}
	}
}

func daemonLine(d KnownDaemon) string {
	d.When = time.Unix(0, 0)
	return string(appendDaemon(nil, d)) + "\n"
}

func TestParseDaemonMistakes(t *testing.T) {
	k := key(1).String()
	for in, want := range map[string]string{
		"laptop":                        "expected NAME PUBLICKEY",
		"-x " + k:                       "begin with a letter",
		"a b c":                         "public key is damaged",
		"a " + k:                        "id=… is missing",
		"a " + k + " id=x trust=paired": "since=… is missing",
		"a " + k + " id=x trust=maybe since=2026-01-01T00:00:00Z":             "trust \"maybe\"",
		"a " + k + " id=x trust=paired since=yesterday":                       "RFC 3339",
		"a " + k + " id= trust=paired since=2026-01-01T00:00:00Z":             "id is empty",
		"a " + k + " id=x trust=paired since=2026-01-01T00:00:00Z pin=no":     "unknown key",
		"a " + sbrp.PublicKey{}.String() + " id=x trust=paired since=2026-01": "public key is damaged",
	} {
		_, err := parseDaemon(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseDaemon(%q) = %v, want %q", in, err, want)
		}
	}
}

func FuzzParseDaemon(f *testing.F) {
	f.Add(daemonLine(daemon("laptop", "d_1", 1, TrustPaired)))
	f.Add(`a ` + key(2).String() + ` id="x\u0041" trust=accepted since=2026-01-01 ca="/a b"`)
	f.Fuzz(func(t *testing.T, line string) {
		d, err := parseDaemon(line)
		if err != nil {
			return
		}
		again, err := parseDaemon(string(appendDaemon(nil, d)))
		if err != nil {
			t.Fatalf("%q parses, but not as it is written again (%q): %v", line, appendDaemon(nil, d), err)
		}
		again.When, d.When = again.When.Truncate(time.Second), d.When.Truncate(time.Second)
		if again != d {
			t.Errorf("round trip: %+v became %+v", d, again)
		}
	})
}
