// Command packaging makes what is released: packages (deb, rpm, apk), archives and their
// checksums, in dist. It works offline once the modules are there. It is a module of its
// own, so that what packages need is no part of culvert and of its checks.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// release is what is made, from the repository's root.
type release struct {
	root, out string
	version   string // of the packages, such as 1.2.0 or 0.0.0~20260131120000.abcdef123456
	commit    commit
	platforms []string // os/arch
	formats   []string
	host      string // culvert for this machine, which writes man pages and completions
	texts     []file // man pages, completions and the like
}

func main() {
	r := release{}
	var platforms, formats string
	flag.StringVar(&r.root, "root", "..", "`DIR` of the repository")
	flag.StringVar(&r.out, "out", "../dist", "`DIR` for what is made")
	flag.StringVar(&r.version, "version", "", "`VERSION` of the packages (default: a snapshot of the commit)")
	flag.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64", "`OS/ARCH`, separated by commas")
	flag.StringVar(&formats, "formats", "deb,rpm,apk,archive", "what to make for each platform that has it")
	flag.Parse()
	r.platforms, r.formats = strings.Split(platforms, ","), strings.Split(formats, ",")
	if err := r.run(); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

// run makes everything.
func (r *release) run() error {
	var err error
	if r.root, err = filepath.Abs(r.root); err != nil {
		return err
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	if r.commit, err = headCommit(r.root); err != nil {
		return err
	}
	if r.version == "" {
		r.version = "0.0.0~" + r.commit.time.UTC().Format("20060102150405") + "." + r.commit.hash[:12]
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "culvert-packaging-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if r.host, err = r.build(work, runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	if r.texts, err = r.writeTexts(filepath.Join(work, "texts")); err != nil {
		return err
	}
	var made []string
	for _, platform := range r.platforms {
		names, err := r.platform(work, platform)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		made = append(made, names...)
	}
	return writeChecksums(r.out, made)
}

// platform makes the packages and the archive of one platform and returns their names.
func (r *release) platform(work, platform string) (made []string, err error) {
	goos, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return nil, errors.New("write OS/ARCH")
	}
	bin, err := r.build(work, goos, arch)
	if err != nil {
		return nil, err
	}
	for _, format := range r.formats {
		var name string
		switch {
		case format == "archive":
			name, err = r.archive(bin, goos, arch)
		case !slices.Contains([]string{"deb", "rpm", "apk"}, format):
			err = errors.New("unknown format " + format)
		case goos != "linux":
			continue
		default:
			name, err = r.linuxPackage(bin, arch, format)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", format, err)
		}
		fmt.Println(filepath.Join(r.out, name))
		made = append(made, name)
	}
	return made, nil
}
