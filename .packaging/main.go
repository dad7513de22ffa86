// Command packaging makes what is released: packages (deb, rpm, apk), archives, bills of
// materials, the relay's container image, manifests for Homebrew and winget, and checksums,
// in dist. It works offline once the modules are there, and makes equal files of equal
// commits. It is a module of its own, so that what packages need is no part of culvert and
// of its checks.
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
	"sync"

	"golang.org/x/sync/errgroup"
)

// release is what is made, from the repository's root.
type release struct {
	root, out string
	version   string // of the packages, such as 1.2.0 or 0.0.0~20260131120000.abcdef123456
	final     bool   // the commit has the version's tag, and nothing else is built
	url       string // where the files will be; %s is the version
	commit    commit
	platforms []string // os/arch
	formats   []string
	host      string // culvert for this machine, which writes man pages and completions
	texts     []file // man pages, completions and the like

	mu       sync.Mutex // guards what follows, while platforms are built side by side
	made     []string   // names of files in out
	built    map[string]*program
	archives map[string]archived // by os/arch
}

// program is culvert for one platform, with what goes with it everywhere.
type program struct {
	bin      string // path
	bom      []byte
	licences []byte
}

// Names beside the program, in archives and packages.
const (
	bomName      = "culvert.cdx.json"
	licencesName = "THIRD_PARTY_LICENSES"
)

const (
	allPlatforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"
	allFormats   = "deb,rpm,apk,archive,sbom,image,homebrew,winget"
)

func main() {
	r := release{}
	var platforms, formats string
	flag.StringVar(&r.root, "root", "..", "`DIR` of the repository")
	flag.StringVar(&r.out, "out", "../dist", "`DIR` for what is made")
	flag.StringVar(&r.version, "version", "", "`VERSION` of the packages (default: a snapshot of the commit)")
	flag.BoolVar(&r.final, "release", false, "the version is that of the commit's tag, and nothing is built that is not committed")
	flag.StringVar(&r.url, "url", "https://culvert.invalid/v%s", "`URL` at which manifests find the archives; %s is the version")
	flag.StringVar(&platforms, "platforms", allPlatforms, "`OS/ARCH`, separated by commas")
	flag.StringVar(&formats, "formats", allFormats, "what to make, of what the platforms have")
	flag.Parse()
	r.platforms, r.formats = strings.Split(platforms, ","), strings.Split(formats, ",")
	if err := r.run(); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

// run makes everything.
func (r *release) run() error {
	work, err := os.MkdirTemp("", "culvert-packaging-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := r.prepare(work); err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for _, platform := range r.platforms {
		g.Go(func() error {
			if err := r.platform(work, platform); err != nil {
				return fmt.Errorf("%s: %w", platform, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := r.together(work); err != nil {
		return err
	}
	return r.writeChecksums()
}

// prepare finds out what is released and makes what all platforms have in common.
func (r *release) prepare(work string) error {
	r.built, r.archives = map[string]*program{}, map[string]archived{}
	for _, format := range r.formats {
		if !slices.Contains(strings.Split(allFormats, ","), format) {
			return errors.New("unknown format " + format)
		}
	}
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
	if err := r.setVersion(); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if r.host, err = r.build(filepath.Join(work, "host"), runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	r.texts, err = r.writeTexts(filepath.Join(work, "texts"))
	return err
}

// platform makes the packages and the archive of one platform.
func (r *release) platform(work, platform string) error {
	goos, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return errors.New("write OS/ARCH")
	}
	p, err := r.program(filepath.Join(work, goos+"-"+arch), goos, arch)
	if err != nil {
		return err
	}
	for _, format := range r.formats {
		var name string
		switch {
		case format == "archive":
			name, err = r.archive(p, goos, arch)
		case format == "sbom":
			name = "culvert_" + fileVersion(r.version) + "_" + goos + "_" + arch + ".cdx.json"
			err = os.WriteFile(filepath.Join(r.out, name), p.bom, 0o644)
		case goos == "linux" && slices.Contains([]string{"deb", "rpm", "apk"}, format):
			name, err = r.linuxPackage(p, arch, format)
		default: // not of this system, or of all together
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
		r.add(name)
	}
	return nil
}

// program builds culvert for a platform and says what is in it.
func (r *release) program(dir, goos, arch string) (*program, error) {
	bin, err := r.build(dir, goos, arch)
	if err != nil {
		return nil, err
	}
	g, err := r.modules(goos, arch)
	if err != nil {
		return nil, err
	}
	p := &program{bin: bin}
	if p.bom, err = r.bom(bin, g); err != nil {
		return nil, err
	}
	if p.licences, err = g.licences(); err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{bomName: p.bom, licencesName: p.licences} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.built[goos+"/"+arch] = p
	return p, nil
}

// together makes what is about several platforms, of those that there are.
func (r *release) together(work string) error {
	var arches []string
	for platform := range r.built {
		if arch, ok := strings.CutPrefix(platform, "linux/"); ok {
			arches = append(arches, arch)
		}
	}
	slices.Sort(arches)
	for format, f := range map[string]func() ([]string, error){
		"image": func() ([]string, error) {
			if arches == nil {
				return nil, nil
			}
			name, err := r.image(work, arches)
			return []string{name}, err
		},
		"homebrew": r.homebrew,
		"winget":   r.winget,
	} {
		if !slices.Contains(r.formats, format) {
			continue
		}
		names, err := f()
		if err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
		for _, name := range names {
			r.add(name)
		}
	}
	return nil
}

// add notes a file that was made.
func (r *release) add(name string) {
	fmt.Println(filepath.Join(r.out, name))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made = append(r.made, name)
}
