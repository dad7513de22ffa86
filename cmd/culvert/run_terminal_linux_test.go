package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestRunOnTerminal types at a command that `run` has started: it has the terminal, and a
// Ctrl-C reaches it once, although culvert gets it too and passes signals on.
func TestRunOnTerminal(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	dir := t.TempDir()
	culvert := func(who string, args ...string) string {
		t.Helper()
		cmd := exec.Command("culvert", args...)
		cmd.Env = append(os.Environ(), "CULVERT_STATE_DIR="+dir+"/"+who)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("culvert %q: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	state := func(who string) []string { return []string{"CULVERT_STATE_DIR=" + dir + "/" + who} }
	relay := onTerminal(t, state("relay"), "relay", "--listen", "127.0.0.1:0")
	url := relay.wait(`relay ready at (http://\S+) `)[1]
	key := culvert("relay", "relay", "key", "create", "--scope", "daemon,client")
	if err := os.WriteFile(dir+"/key", []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	culvert("daemon", "login", url, "--key-file", "key")
	expose := onTerminal(t, state("daemon"), "expose", "--name", "laptop", "web="+web.Listener.Addr().String())
	expose.wait("online as laptop")
	culvert("client", "pair", "--relay", url, culvert("daemon", "pair"))

	c := onTerminal(t, state("client"), "run", "laptop", "0:web", "--", "sh", "-c", `
trap "echo got INT" INT
test -t 0 && test -t 1 && echo waiting
while :; do
	if read line; then echo "read <$line>"; fi
	if [ "$line" = end ]; then exit 6; fi
done`)
	c.wait("waiting")
	c.say("words\n")
	c.wait("read <words>")
	c.say("\x03")
	c.wait("got INT")
	c.say("end\n")
	if code := c.end(); code != 6 || strings.Count(c.seen, "got INT") != 1 {
		t.Errorf("exit code %d, want 6 and one INT:\n%s", code, c.seen)
	}

	// A command that Ctrl-C kills: 128 + 2, as a shell has it.
	c = onTerminal(t, state("client"), "run", "laptop", "0:web", "--", "sh", "-c", "echo waiting; exec sleep 100")
	c.wait("waiting")
	c.say("\x03")
	if code := c.end(); code != 130 {
		t.Errorf("exit code %d, want 130:\n%s", code, c.seen)
	}
	for _, p := range []*terminal{expose, relay} {
		p.say("\x03")
		if code := p.end(); code != 0 {
			t.Errorf("%v: exit code %d, want 0:\n%s", p.cmd.Args, code, p.seen)
		}
	}
}
