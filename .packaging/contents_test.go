package main

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blakesmith/ar"
	"github.com/cavaliergopher/cpio"
)

// Each package and archive has the program, manual pages, completions, the bill of
// materials and the licences.
func TestContents(t *testing.T) {
	r := theRelease(t)
	packaged := []string{
		"usr/bin/culvert", "usr/share/man/man1/culvert-relay.1.gz", "usr/share/bash-completion/completions/culvert",
		"usr/share/zsh/vendor-completions/_culvert", "usr/share/fish/vendor_completions.d/culvert.fish",
		"usr/share/doc/culvert/culvert.cdx.json", "usr/share/doc/culvert/THIRD_PARTY_LICENSES", "usr/share/doc/culvert/copyright",
	}
	units := []string{"usr/lib/systemd/system/culvert.service", "usr/lib/systemd/system/culvert-relay.service", "usr/lib/sysusers.d/culvert.conf"}
	archived := []string{"/man/man1/culvert-relay.1", "/completions/culvert.bash", "/completions/_culvert", "/completions/culvert.fish",
		"/completions/culvert.ps1", "/culvert.cdx.json", "/THIRD_PARTY_LICENSES", "/LICENSE", "/README.md"}
	for suffix, test := range map[string]struct {
		names func(t *testing.T, f *os.File) []string
		want  []string
	}{
		".deb":    {debNames, append(packaged, units...)},
		".rpm":    {rpmNames, append(packaged, units...)},
		".apk":    {apkNames, packaged},
		".tar.gz": {apkNames, append(archived, "/culvert")},
		".zip":    {zipNames, append(archived, "/culvert.exe")},
	} {
		found := false
		for _, name := range r.made {
			if !strings.HasSuffix(name, suffix) {
				continue
			}
			found = true
			f, err := os.Open(filepath.Join(r.out, name))
			if err != nil {
				t.Fatal(err)
			}
			all := test.names(t, f)
			f.Close()
			for _, want := range test.want {
				if !hasSuffix(all, want) {
					t.Errorf("%s has no %s", name, want)
				}
			}
		}
		if !found {
			t.Errorf("no %s was made", suffix)
		}
	}
}

func hasSuffix(all []string, want string) bool {
	for _, name := range all {
		if strings.HasSuffix("/"+strings.TrimPrefix(name, "."), want) {
			return true
		}
	}
	return false
}

func tarNames(t *testing.T, f io.Reader) (all []string) {
	t.Helper()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			all = append(all, h.Name)
		}
	}
}

func gunzip(t *testing.T, f io.Reader) io.Reader {
	t.Helper()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// apkNames: an apk is several tars one behind the other.
func apkNames(t *testing.T, f *os.File) (all []string) {
	t.Helper()
	b := bufio.NewReader(f)
	for z := gunzip(t, b).(*gzip.Reader); ; {
		z.Multistream(false)
		all = append(all, tarNames(t, z)...)
		if _, err := io.Copy(io.Discard, z); err != nil { // what is behind the tar's end
			t.Fatal(err)
		}
		if err := z.Reset(b); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func debNames(t *testing.T, f *os.File) []string {
	t.Helper()
	for r := ar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(h.Name, "data.tar.gz") {
			return tarNames(t, gunzip(t, r))
		}
	}
}

// rpmNames reads past the lead and the two headers of an rpm.
func rpmNames(t *testing.T, f *os.File) (all []string) {
	t.Helper()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	at := 96
	for i := range 2 {
		if !bytes.HasPrefix(text[at:], []byte{0x8e, 0xad, 0xe8, 1}) {
			t.Fatal("no header")
		}
		at += 16 + 16*int(binary.BigEndian.Uint32(text[at+8:])) + int(binary.BigEndian.Uint32(text[at+12:]))
		if i == 0 {
			at = (at + 7) / 8 * 8
		}
	}
	for r := cpio.NewReader(gunzip(t, bytes.NewReader(text[at:]))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			all = append(all, h.Name)
		}
	}
}

func zipNames(t *testing.T, f *os.File) (all []string) {
	t.Helper()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		all = append(all, f.Name)
	}
	return all
}
