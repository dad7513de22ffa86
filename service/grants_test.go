package service

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"culvert/tunnel"
)

// What is done to the file by hand while the daemon runs: a broken line ends what it granted and says so, once, and no other
// line; a grant's end ends its streams; a new name ends nothing.
func TestGrantsByHand(t *testing.T) {
	w := newWorld(t)
	w.login("daemon", "daemon")
	problems := make(chan Event, 16)
	w.expose("daemon", func(e Event) {
		if e.Event == EventError {
			problems <- e
		}
	}, "echo="+echoServer(t))
	w.pair("daemon", "good")
	w.pair("daemon", "bad")
	goodAddr, goodEnd := w.forwardToEnd("good")
	badAddr, badEnd := w.forwardToEnd("bad")
	good, bad := dialEcho(t, goodAddr), dialEcho(t, badAddr)
	var rows []ClientRow
	w.eventually("two clients with one live link each: those of the pairings end by themselves", func() bool {
		var err error
		rows, _, err = Clients(t.Context(), w.common("daemon"))
		return err == nil && len(rows) == 2 && rows[0].Live == 1 && rows[1].Live == 1
	})
	if row, err := RenameClient(t.Context(), w.common("daemon"), rows[0].Name, "renamed"); err != nil || row.Live != 1 {
		t.Fatalf("renamed: %+v, %v; want its link to stay", row, err)
	}
	echoLine(t, good, "still there")

	file := filepath.Join(w.dir, "daemon", "authorized_clients")
	lines := readLines(t, file)
	lines[len(lines)-1] = strings.Replace(lines[len(lines)-1], "targets=", "target=", 1)
	writeLines(t, file, lines)
	if _, err := bad.Read(make([]byte, 1)); err == nil {
		t.Error("the stream of a broken line goes on")
	}
	if err := receive(t, "end of the broken line's client", badEnd); classify(err).Name != "not_authorized" {
		t.Errorf("the client of a broken line ended with %v", err)
	}
	if e := receive(t, "what is wrong with the file", problems); e.Code != "authorized_clients" || !strings.Contains(e.Message, fmt.Sprintf("authorized_clients:%d", len(lines))) {
		t.Errorf("the daemon says %+v", e)
	}
	echoLine(t, good, "still there")

	// A grant runs out while a stream is open.
	lines = readLines(t, file)
	for i, l := range lines {
		if strings.Contains(l, " renamed ") {
			lines[i] += " expires=" + time.Now().Add(time.Second).UTC().Format(time.RFC3339)
		}
	}
	writeLines(t, file, lines)
	if _, err := good.Read(make([]byte, 1)); err == nil {
		t.Error("the stream of an expired grant goes on")
	}
	if err := receive(t, "end of the expired client", goodEnd); CodeOf(err) != CodeRefused {
		t.Errorf("the expired client ended with %v", err)
	}
	if len(problems) > 0 {
		t.Errorf("the broken line was told again: %+v", <-problems)
	}
}

// forwardToEnd forwards echo until the daemon refuses it, and returns the local address and what it ends with.
func (w *world) forwardToEnd(client string) (addr string, ended <-chan error) {
	w.t.Helper()
	spec, err := tunnel.ParseForward("0:echo")
	if err != nil {
		w.t.Fatal(err)
	}
	ready, end := make(chan string, 1), make(chan error, 1)
	w.background("forward", func(ctx context.Context) error {
		end <- Forward(ctx, ForwardOptions{Common: w.common(client), Daemon: "daemon", Forwards: []tunnel.ForwardSpec{spec}}, func(e Event) {
			if e.Event == EventReady {
				ready <- e.Addr
			}
		})
		return nil
	})
	return receive(w.t, "ready", ready), end
}

func TestMoveGrants(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	for _, machine := range []string{"old", "new"} {
		m, err := openMachine(t.Context(), w.common(machine))
		if err != nil {
			t.Fatal(err)
		}
		defer m.close()
		if machine == "old" {
			_, err = Grant(t.Context(), GrantOptions{Common: w.common("old"), Client: m.identity.PublicKey().String(), Name: "phone", Targets: []string{"web"}, For: time.Hour})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, problems, err := ExportClients(w.common("old"))
	if err != nil || len(problems) > 0 || strings.Count(text, "\n") != 1 {
		t.Fatalf("exported %q, %v, %v", text, problems, err)
	}
	rows, err := ImportClients(t.Context(), w.common("new"), "clients.txt", strings.NewReader(text))
	if err != nil || len(rows) != 1 || rows[0].Name != "phone" || rows[0].Expires == nil || rows[0].Expired {
		t.Fatalf("imported %+v, %v", rows, err)
	}
	for what, text := range map[string]string{"a broken line": text + "phone\n", "too long": strings.Repeat("#", maxImport+1)} {
		if _, err := ImportClients(t.Context(), w.common("new"), "clients.txt", strings.NewReader(text)); CodeOf(err) == CodeOK || !strings.Contains(err.Error(), "clients.txt") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for name, want := range map[string]Code{"a b": CodeUsage, "ok": CodeOK} {
		if _, err := RenameClient(t.Context(), w.common("new"), rows[0].Key.String(), name); CodeOf(err) != want {
			t.Errorf("rename to %q: %v, want code %d", name, err, want)
		}
	}
	if _, err := RenameClient(t.Context(), w.common("new"), "nobody", "x"); CodeOf(err) != CodeUsage {
		t.Errorf("rename of nobody: %v", err)
	}
}

func readLines(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// writeLines replaces the file in one step, as editors do: nobody sees half of it.
func writeLines(t *testing.T, file string, lines []string) {
	t.Helper()
	err := os.WriteFile(file+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		t.Fatal(err)
	}
}
