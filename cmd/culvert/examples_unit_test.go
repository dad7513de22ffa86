package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// installed is where units and property lists expect culvert; tests have it in the PATH.
const installed = "/usr/local/bin/culvert"

// cmdUnit is "unit FILE KEY [OLD NEW]...": writes the command line KEY of a systemd unit,
// such as ExecStart, to KEY.sh with the unit's environment and each OLD, which must be
// there, replaced.
func cmdUnit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args)%2 != 0 {
		ts.Fatalf("usage: unit FILE KEY [OLD NEW]...")
	}
	var script strings.Builder
	script.WriteString("set -e\n")
	found := false
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "Environment":
			fmt.Fprintf(&script, "export %s\n", value)
		case args[1]:
			if !strings.HasPrefix(value, installed+" ") {
				ts.Fatalf("%s: %s does not run %s", args[0], key, installed)
			}
			found = true
			fmt.Fprintf(&script, "exec culvert%s\n", strings.TrimPrefix(value, installed))
		}
	}
	if !found {
		ts.Fatalf("%s has no %s", args[0], args[1])
	}
	writeFile(ts, ts.MkAbs(args[1]+".sh"), replaced(ts, args[0], script.String(), args[2:]))
}

// replaced puts NEW for each OLD of the pairs; text, which is what's, must have each OLD.
func replaced(ts *testscript.TestScript, what, text string, pairs []string) string {
	for pair := range slices.Chunk(pairs, 2) {
		if !strings.Contains(text, pair[0]) {
			ts.Fatalf("%s has no %q:\n%s", what, pair[0], text)
		}
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	return text
}
