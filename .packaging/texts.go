package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// file is one file beside the program: where it is, where packages put it, and where it
// stands in an archive.
type file struct {
	source    string
	inPackage string // path in a package; empty: not in packages
	archive   string // path in an archive; empty: not in archives
	systemd   bool   // only where systemd is
}

// files are those that differ by platform.
func (p *program) files() []file {
	dir := filepath.Dir(p.bin)
	return []file{
		{source: filepath.Join(dir, bomName), inPackage: "/usr/share/doc/culvert/" + bomName, archive: bomName},
		{source: filepath.Join(dir, licencesName), inPackage: "/usr/share/doc/culvert/" + licencesName, archive: licencesName},
	}
}

// completions says where each shell looks, and what the file is called in archives.
var completions = []struct{ shell, path, archive string }{
	{"bash", "/usr/share/bash-completion/completions/culvert", "completions/culvert.bash"},
	{"zsh", "/usr/share/zsh/vendor-completions/_culvert", "completions/_culvert"},
	{"fish", "/usr/share/fish/vendor_completions.d/culvert.fish", "completions/culvert.fish"},
	{"powershell", "", "completions/culvert.ps1"},
}

// writeTexts has culvert write its manual pages and completions, and takes the units of
// examples/systemd, with the path that packages have.
func (r *release) writeTexts(dir string) ([]file, error) {
	all := []file{
		{source: filepath.Join(r.root, "LICENSE"), inPackage: "/usr/share/doc/culvert/copyright", archive: "LICENSE"},
		{source: filepath.Join(r.root, "README.md"), inPackage: "/usr/share/doc/culvert/README.md", archive: "README.md"},
		{source: filepath.Join(r.root, "examples/systemd/culvert.sysusers"), inPackage: "/usr/lib/sysusers.d/culvert.conf", systemd: true},
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, c := range completions {
		text, err := exec.Command(r.host, "completion", c.shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion for %s: %w", c.shell, err)
		}
		path := filepath.Join(dir, "completion."+c.shell)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, err
		}
		all = append(all, file{source: path, inPackage: c.path, archive: c.archive})
	}
	for _, unit := range []string{"culvert.service", "culvert-relay.service"} {
		text, err := os.ReadFile(filepath.Join(r.root, "examples/systemd", unit))
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, unit)
		text = bytes.ReplaceAll(text, []byte("/usr/local/bin/culvert"), []byte("/usr/bin/culvert"))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, err
		}
		all = append(all, file{source: path, inPackage: "/usr/lib/systemd/system/" + unit, systemd: true})
	}
	pages, err := r.manPages(filepath.Join(dir, "man"))
	return append(all, pages...), err
}

// manPages are the manual pages: compressed in packages, as distributions have them.
func (r *release) manPages(dir string) ([]file, error) {
	if out, err := exec.Command(r.host, "man", dir, "--date", r.commit.time.UTC().Format(time.DateOnly)).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("manual pages: %w\n%s", err, out)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil {
		return nil, err
	}
	var all []file
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err == nil {
			_, err = z.Write(text)
		}
		if err == nil {
			err = z.Close()
		}
		if err == nil {
			err = os.WriteFile(page+".gz", b.Bytes(), 0o644)
		}
		if err != nil {
			return nil, err
		}
		name := filepath.Base(page)
		all = append(all,
			file{source: page + ".gz", inPackage: "/usr/share/man/man1/" + name + ".gz"},
			file{source: page, archive: "man/man1/" + name})
	}
	return all, nil
}
