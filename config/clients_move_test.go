package config

import (
	"errors"
	"strings"
	"testing"
)

func TestRename(t *testing.T) {
	d := openDir(t)
	a := d.AuthorizedClients()
	write(t, d, "# kept", key(1).String()+" laptop targets=web,ssh expires=2099-01-01T00:00:00Z", "broken", key(2).String()+" phone targets=*")
	g, err := a.Rename("laptop", "desk")
	if err != nil || g.Name != "desk" || g.Line != 2 || len(g.Targets) != 2 || g.Expires.IsZero() {
		t.Fatalf("renamed %+v, %v", g, err)
	}
	want := "# kept\n" + key(1).String() + " desk targets=web,ssh expires=2099-01-01T00:00:00Z\nbroken\n" + key(2).String() + " phone targets=*\n"
	if got := readFile(t, d.File(clientsFile)); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	if _, err := a.Rename(key(2).String(), "phone"); err != nil {
		t.Errorf("to the name that it has: %v", err)
	}
	for _, c := range []struct {
		what, from, to string
		want           error
	}{{"an unknown client", "laptop", "x", ErrNotFound}, {"a taken name", "phone", "desk", ErrNameTaken}} {
		if _, err := a.Rename(c.from, c.to); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if _, err := a.Rename("phone", "no name"); err == nil {
		t.Error("a name with a space was taken")
	}
	if got := readFile(t, d.File(clientsFile)); got != want {
		t.Errorf("after what was refused the file is\n%s", got)
	}
}

func TestExportImport(t *testing.T) {
	from, to := openDir(t), openDir(t)
	write(t, from, "# a comment", key(1).String()+" laptop targets=web", "broken", key(2).String()+" phone targets=* expires=2099-01-01T00:00:00Z", key(3).String()+" tv targets=web")
	text, bad, err := from.AuthorizedClients().Export()
	if err != nil || len(bad) != 1 || strings.Count(string(text), "\n") != 3 {
		t.Fatalf("exported %q, %v, %v", text, bad, err)
	}
	write(t, to, "# theirs", key(1).String()+" desk targets=db", "broken too", key(9).String()+" phone targets=db")
	a := to.AuthorizedClients()
	got, err := a.Import("export", text)
	if err != nil || len(got) != 3 {
		t.Fatalf("imported %+v, %v", got, err)
	}
	want := "# theirs\n" + key(1).String() + " laptop targets=web\nbroken too\n" + key(9).String() + " phone targets=db\n" +
		key(2).String() + " phone-2 targets=* expires=2099-01-01T00:00:00Z\n" + key(3).String() + " tv targets=web\n"
	if got := readFile(t, to.File(clientsFile)); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	for what, text := range map[string]string{
		"a broken line": key(4).String() + " new targets=web\nnot a line\nnor this\n",
		"a key twice":   key(4).String() + " new targets=web\n" + key(4).String() + " newer targets=db\n",
	} {
		_, err := a.Import("export", []byte(text))
		le, ok := errors.AsType[*LineError](err)
		if !ok || le.File != "export" || strings.Count(err.Error(), "export:") != 2 {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := readFile(t, to.File(clientsFile)); got != want {
		t.Errorf("after what was refused the file is\n%s", got)
	}
}
