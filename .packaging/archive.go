package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
)

var snapshot = regexp.MustCompile(`~(\d+)\.[0-9a-f]+$`)

// apkVersion is a version as apk takes it: 0.0.0~20260131120000.abc is 0.0.0_pre20260131120000.
func apkVersion(version string) string { return snapshot.ReplaceAllString(version, "_pre$1") }

// archiver is the part of tar and zip that is needed here.
type archiver interface {
	add(name string, mode os.FileMode, text []byte) error
	io.Closer
}

// archived is an archive as manifests name it.
type archived struct {
	name, sum string // SHA-256
	base      string // the directory in it
}

// archive makes a tar.gz, or a zip for Windows, and returns its name.
func (r *release) archive(p *program, goos, arch string) (string, error) {
	base := "culvert_" + fileVersion(r.version) + "_" + goos + "_" + arch
	name := base + ".tar.gz"
	if goos == "windows" {
		name = base + ".zip"
	}
	f, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return "", err
	}
	var a archiver = newTar(f, r.commit)
	if goos == "windows" {
		a = &zipArchive{zip.NewWriter(f), r.commit}
	}
	err = r.fill(a, base, p)
	for _, c := range []io.Closer{a, f} {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return "", err
	}
	sum, err := r.checksum(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.archives[goos+"/"+arch] = archived{name, sum, base}
	return name, err
}

func (r *release) fill(a archiver, base string, p *program) error {
	all := append([]file{{source: p.bin, archive: filepath.Base(p.bin)}}, r.texts...)
	for i, f := range append(all, p.files()...) {
		if f.archive == "" {
			continue
		}
		text, err := os.ReadFile(f.source)
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if i == 0 {
			mode = 0o755
		}
		if err := a.add(path.Join(base, f.archive), mode, text); err != nil {
			return err
		}
	}
	return nil
}

type tarArchive struct {
	t  *tar.Writer
	z  *gzip.Writer
	at commit
}

func newTar(w io.Writer, at commit) *tarArchive {
	z := gzip.NewWriter(w)
	return &tarArchive{tar.NewWriter(z), z, at}
}

func (a *tarArchive) add(name string, mode os.FileMode, text []byte) error {
	err := a.t.WriteHeader(&tar.Header{Name: name, Mode: int64(mode), Size: int64(len(text)), ModTime: a.at.time, Format: tar.FormatPAX})
	if err == nil {
		_, err = a.t.Write(text)
	}
	return err
}

// Close ends the archive.
func (a *tarArchive) Close() error {
	if err := a.t.Close(); err != nil {
		return err
	}
	return a.z.Close()
}

type zipArchive struct {
	z  *zip.Writer
	at commit
}

func (a *zipArchive) add(name string, mode os.FileMode, text []byte) error {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: a.at.time}
	h.SetMode(mode)
	w, err := a.z.CreateHeader(h)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// Close ends the archive.
func (a *zipArchive) Close() error { return a.z.Close() }
