package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

const examplesDir = "../../examples"

// TestExamples runs testdata/examples: one script for each directory of examples, which
// executes the example's own files and the commands of its README. Only addresses and
// codes are put in their place.
func TestExamples(t *testing.T) {
	var left leftOut
	p := scriptParams(&left)
	p.Dir = "testdata/examples"
	p.Setup = func(env *testscript.Env) error {
		repo, err := filepath.Abs("../..")
		if err != nil {
			return err
		}
		env.Setenv("REPO", repo)
		if err := os.CopyFS(filepath.Join(env.WorkDir, "examples"), os.DirFS(examplesDir)); err != nil {
			return err
		}
		if err := setUpScript(env); err != nil {
			return err
		}
		return setGoCaches(env)
	}
	p.Cmds["block"] = cmdBlock
	p.Cmds["workflow"] = cmdWorkflow
	p.Cmds["unit"] = cmdUnit
	p.Cmds["plist"] = cmdPlist
	p.Cmds["compose"] = cmdCompose
	p.Cmds["freeport"] = cmdFreePort
	testscript.Run(t, p)
	t.Cleanup(func() { left.report(t) })
}

// setGoCaches lets the go command of a script use what is downloaded and built already:
// the script's home is empty.
func setGoCaches(env *testscript.Env) error {
	names := []string{"GOMODCACHE", "GOCACHE"}
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil // the scripts that need it say so
	}
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	for i, dir := range strings.Fields(string(out)) {
		env.Setenv(names[i], dir)
	}
	return nil
}

// examplesWithoutScript are tested elsewhere: config by package config.
var examplesWithoutScript = []string{"config"}

// TestExamplesComplete checks that every example has a README that names each of its
// files, and a script that runs it; and that the list of all names each example.
func TestExamplesComplete(t *testing.T) {
	list := readText(t, filepath.Join(examplesDir, "README.md"))
	dirs, err := os.ReadDir(examplesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if !dir.IsDir() {
			continue
		}
		if !strings.Contains(list, "("+dir.Name()+")") {
			t.Errorf("examples/README.md has no link to %s", dir.Name())
		}
		if slices.Contains(examplesWithoutScript, dir.Name()) {
			continue
		}
		script := readText(t, filepath.Join("testdata/examples", dir.Name()+".txtar"))
		checkExample(t, dir.Name(), script)
	}
}

// checkExample compares one example's README with its files and with the script.
func checkExample(t *testing.T, name, script string) {
	t.Helper()
	readme := readText(t, filepath.Join(examplesDir, name, "README.md"))
	for _, block := range readmeBlocks(readme) {
		if !regexp.MustCompile(`(?m)\bblock (-exec )?` + block.name + `\b`).MatchString(script) {
			t.Errorf("no script runs the block %q of %s/README.md", block.name, name)
		}
	}
	if strings.Contains(readme, "```sh\n") {
		t.Errorf("%s/README.md has a block of commands without a name: it would never be run", name)
	}
	files, err := os.ReadDir(filepath.Join(examplesDir, name))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "README.md" && !strings.Contains(readme, f.Name()) && !strings.Contains(allTexts(t, name), f.Name()) {
			t.Errorf("%s/README.md does not say what %s is for", name, f.Name())
		}
	}
}

// allTexts are the example's files that name other files, such as a script that runs one.
func allTexts(t *testing.T, name string) string {
	t.Helper()
	var b strings.Builder
	paths, err := filepath.Glob(filepath.Join(examplesDir, name, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		b.WriteString(readText(t, path))
	}
	return b.String()
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readmeBlock is a block of commands in a README, fenced with "sh NAME".
type readmeBlock struct{ name, text string }

func readmeBlocks(readme string) []readmeBlock {
	var all []readmeBlock
	for _, m := range regexp.MustCompile("(?s)```sh (\\w+)\n(.*?)```").FindAllStringSubmatch(readme, -1) {
		all = append(all, readmeBlock{m[1], m[2]})
	}
	return all
}

// cmdBlock is "block [-exec] NAME [OLD NEW]...": writes the block NAME of README.md in the
// script's directory to block-NAME.sh, with each OLD, which must be there, replaced. With
// -exec its last line takes the shell's place, so that it gets the signals.
func cmdBlock(ts *testscript.TestScript, neg bool, args []string) {
	replace := len(args) > 0 && args[0] == "-exec"
	if replace {
		args = args[1:]
	}
	if neg || len(args)%2 != 1 {
		ts.Fatalf("usage: block [-exec] NAME [OLD NEW]...")
	}
	blocks := readmeBlocks(ts.ReadFile("README.md"))
	i := slices.IndexFunc(blocks, func(b readmeBlock) bool { return b.name == args[0] })
	if i < 0 {
		ts.Fatalf("README.md has no block %q", args[0])
	}
	text := replaced(ts, "the block "+args[0]+" of README.md", blocks[i].text, args[1:])
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if replace {
		lines[len(lines)-1] = "exec env " + lines[len(lines)-1]
	}
	writeFile(ts, ts.MkAbs("block-"+args[0]+".sh"), fmt.Sprintf("set -e\n%s\n", strings.Join(lines, "\n")))
}
