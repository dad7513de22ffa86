package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// graph is who imports whom among the modules of a program, on one platform.
type graph struct {
	edges map[string]map[string]bool // by the modules' paths; stdModule is one
	dirs  map[string]string          // where each module's files are
}

// listed is what of `go list -json` is read.
type listed struct {
	ImportPath string
	Imports    []string
	Module     *struct{ Path, Dir string }
}

// modules asks the go command.
func (r *release) modules(goos, arch string) (*graph, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Module", "./cmd/culvert")
	cmd.Dir, cmd.Env = r.root, buildEnv(goos, arch)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list what culvert is made of: %w\n%s", err, &stderr)
	}
	g := &graph{edges: map[string]map[string]bool{}, dirs: map[string]string{}}
	owner := map[string]string{} // of a package
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := listed{}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read what go list says: %w", err)
		}
		all, owner[p.ImportPath] = append(all, p), stdModule
		if p.Module != nil {
			owner[p.ImportPath] = p.Module.Path
			g.dirs[p.Module.Path] = p.Module.Dir
		}
	}
	for _, p := range all {
		from := owner[p.ImportPath]
		if g.edges[from] == nil {
			g.edges[from] = map[string]bool{}
		}
		for _, imported := range p.Imports {
			if to, ok := owner[imported]; ok && to != from {
				g.edges[from][to] = true
			}
		}
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("ask where Go is: %w", err)
	}
	g.dirs[stdModule] = strings.TrimSpace(string(goroot))
	return g, nil
}

var licenceName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|unlicense)([-.].*)?$`)

// licences are the terms of everything that is in the program, which ask to be handed on
// with it. A module without any is an error.
func (g *graph) licences() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("What culvert contains besides its own code, and on which terms.\n")
	var paths []string
	for path := range g.dirs {
		if path != "culvert" {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for _, path := range paths {
		entries, err := os.ReadDir(g.dirs[path])
		if err != nil {
			return nil, err
		}
		found := false
		for _, e := range entries {
			if e.IsDir() || !licenceName.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(g.dirs[path], e.Name()))
			if err != nil {
				return nil, err
			}
			found = true
			fmt.Fprintf(&b, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("=", 79), path, e.Name(), bytes.TrimSpace(text))
		}
		if !found {
			return nil, fmt.Errorf("%s says nowhere on which terms it is", path)
		}
	}
	return b.Bytes(), nil
}
