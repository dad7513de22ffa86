package service

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the table of threats anew")

// threats is where the table stands for people.
const threats = "../sbrp/THREATS.md"

// threat is one thing that an adversary does, and what comes of it.
type threat struct {
	who  string // what is in the adversary's hands: relay, control plane, client
	does string
	// code and name are what the honest command ends with; none: the connection goes on, and every byte arrives.
	code Code
	name string
	then string // what that means, for people
	// act has the adversary act, and returns what the honest command ends with.
	act func(a *arena) error
	// clients are those that the daemon knows at the end beside the first one.
	clients []string
	// relay changes the real relay behind the adversary; nil: nothing.
	relay func(*RelayOptions)
	// waits says that the row spends seconds on waiting: such rows run beside each other, all at once.
	waits bool
}

func allThreats() []threat {
	return slices.Concat(handshakeThreats(), swapThreats(), controlThreats(), enduredThreats(), liveThreats(), planeThreats(), clientThreats())
}

// TestAdversary has the real parts meet an adversary, row by row, each in a world of its own.
func TestAdversary(t *testing.T) {
	all := allThreats()
	t.Run("all", func(t *testing.T) {
		t.Run("waiting", func(t *testing.T) {
			t.Parallel()
			var rows sync.WaitGroup
			for _, r := range all {
				if r.waits {
					rows.Go(func() { t.Run(r.title(), r.run) })
				}
			}
			rows.Wait()
		})
		for _, r := range all {
			if !r.waits {
				t.Run(r.title(), func(t *testing.T) { t.Parallel(); r.run(t) })
			}
		}
	})
	table := threatTable(all)
	if *update {
		if err := os.WriteFile(threats, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(threats)
	if err != nil || strings.ReplaceAll(string(have), "\r\n", "\n") != table {
		t.Errorf("%s is not what the rows say (%v): go test ./service -run TestAdversary -update", threats, err)
	}
}

func (r threat) title() string { return strings.ReplaceAll(r.who+" "+r.does, " ", "_") }

// run has the adversary act in a world of its own, and looks at what came of it.
func (r threat) run(t *testing.T) {
	a := newArena(t, r.relay)
	r.check(t, r.act(a))
	a.cheat.Deliver(nil)
	a.cheat.Answer(nil)
	a.cheat.Instead(nil)
	a.proof(t, r.clients...)
}

// check compares what the honest command ended with.
func (r threat) check(t *testing.T, err error) {
	t.Helper()
	if r.code == CodeOK {
		if err != nil {
			t.Errorf("the connection did not go on: %v", err)
		}
		return
	}
	e := classify(err)
	if e == nil {
		t.Errorf("the command succeeded, want exit %d, %s", r.code, r.name)
	} else if e.Code != r.code || e.Name != r.name {
		t.Errorf("the command ended with exit %d, %s (%v); want %d, %s", e.Code, e.Name, err, r.code, r.name)
	}
}

// What the rows rely on: the arena notices plaintext and wrong bytes.
func TestArenaNotices(t *testing.T) {
	a := newArena(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.cheat.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.cheat.Saw([]byte(a.mark)) {
		t.Error("plaintext is seen before there is any")
	}
	req.Header.Set("X-Leak", a.line("up", 0)[:40])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // only the request counts
	http.DefaultClient.CloseIdleConnections()
	if !a.cheat.Saw([]byte(a.mark)) {
		t.Error("plaintext on the wire is not seen")
	}
	c, err := a.open(DialerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c.conn, a.line("down", 0)); err != nil {
		t.Fatal(err)
	}
	if err := c.talk(); err == nil {
		t.Error("the target takes what was never said")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.wrong) != 1 || !strings.HasPrefix(a.wrong[0], "the target got") {
		t.Errorf("wrong bytes: %q", a.wrong)
	}
}

// same returns the error if all are of one kind, as a row has but one outcome.
func same(errs ...error) error {
	first := classify(errs[0])
	for i, err := range errs {
		if e := classify(err); (e == nil) != (first == nil) || e != nil && (e.Code != first.Code || e.Name != first.Name) {
			return fmt.Errorf("case %d: %w; the first: %w", i, cmp.Or(err, errors.New("no error")), cmp.Or(errs[0], errors.New("no error")))
		}
	}
	return errs[0]
}

const threatsHead = `# What an adversary gets

Written by ` + "`go test ./service -run TestAdversary -update`" + ` from the rows of the test: do not edit. Each row is run against the real
client and daemon, with a relay and a control plane that are the adversary's. Whatever it does, the test also looks at this:

- No byte of what the programs at both ends wrote was in anything that a machine sent: no frame, no request, no header.
- No program got a byte that the program at the other end had not written, in that order, on that connection.
- Nobody but the client reached the target.
- The client's pin is the daemon's key still, and the daemon's list of clients holds nobody but those whom its owner let in.

` + "`culvert relay --chaos SPEC`" + ` does a relay's part of it to a set-up of your own.

`

const threatsTail = `
## What it can do all the same

- Refuse, delay and cut, for as long as it likes: connections are held for the hold time (10 minutes by default), then they end with exit code 27.
- See who talks to whom, when, from where and how many bytes.
- Be believed at first contact by a client that runs with ` + "`--trust-on-first-use`" + `, or whose user accepts a fingerprint unseen: that is what pairing is for.
`

// threatTable is the text of THREATS.md.
func threatTable(all []threat) string {
	var b strings.Builder
	b.WriteString(threatsHead)
	b.WriteString("| in its hands | does | outcome | |\n|---|---|---|---|\n")
	for _, r := range all {
		outcome := "the connection goes on"
		if r.code != CodeOK {
			outcome = fmt.Sprintf("exit %d, `%s`", r.code, r.name)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.who, r.does, outcome, r.then)
	}
	fmt.Fprintf(&b, "\n%d rows.\n", len(all))
	b.WriteString(threatsTail)
	return b.String()
}
