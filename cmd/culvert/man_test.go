package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestMan checks that each command of the help has a page with its text and its example,
// and that equal sources make equal pages.
func TestMan(t *testing.T) {
	dir, again := filepath.Join(t.TempDir(), "man1"), t.TempDir()
	for _, d := range []string{dir, again} {
		if r := newTestRun(t).run("man", d, "--date", "2026-01-31"); r.code != 0 || r.stdout.Len()+r.stderr.Len() > 0 {
			t.Fatalf("exit code %d; %s%s", r.code, r.stdout.String(), r.stderr.String())
		}
	}
	pages := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			return
		}
		pages++
		if second, err := os.ReadFile(filepath.Join(again, name)); err != nil || string(second) != string(page) {
			t.Errorf("%s is another one the second time (%v)", name, err)
		}
		for _, want := range []string{cmd.Short, ".SH EXAMPLE", "Jan 2026"} {
			if !strings.Contains(strings.ReplaceAll(string(page), `\-`, "-"), want) {
				t.Errorf("%s has no %q", name, want)
			}
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				look(sub)
			}
		}
	}
	root := newRootCmd(newTestRun(t).a)
	look(root)
	if files, err := os.ReadDir(dir); err != nil || len(files) != pages {
		t.Errorf("%d pages for %d commands (%v)", len(files), pages, err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "culvert.1"))
	if err != nil || !strings.Contains(string(page), "\n  22  daemon unknown or offline\n") && !strings.Contains(string(page), "\n22  daemon unknown or offline\n") {
		t.Errorf("the exit codes are no table (%v)\n%s", err, page)
	}
}
