package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

const readmePath = "../../README.md"

// TestReadme runs the commands in the README's blocks that are marked "sh test MACHINE",
// in their order. Only addresses, ports and the code are put in their place.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	script := readmeScript(t, string(text))
	path := filepath.Join(t.TempDir(), "readme.txtar")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	var left leftOut
	p := scriptParams(&left)
	p.Files, p.UpdateScripts = []string{path}, false
	testscript.Run(t, p)
	t.Cleanup(func() { left.report(t) })
}

// inPlace are the words of the README that stand for something of the reader's, and what
// stands there in the test. Each must occur.
var inPlace = []struct{ word, is string }{
	{":443 --public-url https://relay.example.org", "127.0.0.1:0"},
	{"https://relay.example.org", "$URL"},
	{"web=3000", "web=$WEB"},
	{"ssh=22", "ssh=$SSH"},
	{"8080:web", "0:web"},
	{"http://127.0.0.1:8080/", "http://$ADDR/page.html"},
	{"pair CODE", "pair $CODE"},
	{"ssh -o", "ssh -F ssh/config -o"},
}

// longRunning are the commands that run beside those that follow, and what is learned
// from them.
var longRunning = map[string]string{
	"culvert relay ":   `match URL relay 'relay ready at (\S+)'`,
	"culvert expose ":  `err daemon 'online as laptop'`,
	"culvert forward ": `match ADDR forward '^(\S+) -> laptop/web   ready \('`,
}

var processNames = map[string]string{"culvert relay ": "relay", "culvert expose ": "daemon", "culvert forward ": "forward"}

// readmeScript makes a script of the marked blocks.
func readmeScript(t *testing.T, readme string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`certificate
env SSL_CERT_FILE=$WORK/ca.pem
webserver WEB www
env SSH=127.0.0.1:22
[have:sshd] sshd SSH
`)
	blocks := regexp.MustCompile("(?s)```sh test (\\w+)\n(.*?)```").FindAllStringSubmatch(readme, -1)
	state := map[string]string{"relay": "$R", "daemon": "$D", "client": "$C"}
	used := make([]bool, len(inPlace))
	for _, block := range blocks {
		dir, ok := state[block[1]]
		if !ok {
			t.Fatalf("a block of the README is for %q", block[1])
		}
		fmt.Fprintf(&b, "env CULVERT_STATE_DIR=%s\n", dir)
		for line := range strings.Lines(block[2]) {
			line = strings.TrimSpace(line)
			for i, p := range inPlace {
				used[i] = used[i] || strings.Contains(line, p.word)
				line = strings.ReplaceAll(line, p.word, p.is)
			}
			b.WriteString(readmeLine(line))
		}
	}
	for i, p := range inPlace {
		if !used[i] {
			t.Errorf("no marked block of the README has %q", p.word)
		}
	}
	b.WriteString("end forward\nend daemon\nend relay\n-- www/page.html --\nseen through the tunnel\n")
	return b.String()
}

// readmeLine makes script lines of one command.
func readmeLine(line string) string {
	program, _, _ := strings.Cut(line, " ")
	for prefix, learn := range longRunning {
		if strings.HasPrefix(line, prefix) && !strings.HasPrefix(line, "culvert relay key ") {
			return fmt.Sprintf("start %s %s\n%s\n", processNames[prefix], line, learn)
		}
	}
	switch {
	case program == "ssh":
		return "[have:sshd] [have:ssh] exec " + line + "\n[have:sshd] [have:ssh] stdout .\n"
	case program == "curl":
		return "[have:curl] exec " + line + "\n[have:curl] stdout 'seen through the tunnel'\n"
	case line == "culvert pair":
		return "exec culvert pair\nsetvar CODE stdout\n"
	default:
		line, file, redirected := strings.Cut(line, " > ")
		line = "exec " + line + "\n"
		if redirected {
			line += "cp stdout " + file + "\n"
		}
		return line
	}
}

// TestReadmeExitCodes compares the README's table with the help.
func TestReadmeExitCodes(t *testing.T) {
	text, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (.*) \|$`).FindAllStringSubmatch(string(text), -1) {
		fmt.Fprintf(&table, "\n  %2s  %s", row[1], row[2])
	}
	if got, want := table.String(), strings.TrimPrefix(exitCodes, "Exit codes:"); got != want {
		t.Errorf("the README's exit codes are%s\nthe help's are%s", got, want)
	}
}
