package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	dockerfile = "examples/docker-compose/Dockerfile" // which says what the image is
	nobody     = 65532                                // its user
	imageBin   = "usr/local/bin/culvert"
	imageState = "var/lib/culvert"
)

// image makes the relay's image for container engines, of the programs that were built for
// Linux: an OCI layout in a tar file. Its name is returned.
func (r *release) image(work string, arches []string) (string, error) {
	text, err := os.ReadFile(filepath.Join(r.root, dockerfile))
	if err != nil {
		return "", err
	}
	config, err := parseDockerfile(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", dockerfile, err)
	}
	config.Labels = map[string]string{
		"org.opencontainers.image.title": "culvert-relay", "org.opencontainers.image.version": r.version,
		"org.opencontainers.image.revision": r.commit.hash, "org.opencontainers.image.licenses": "Apache-2.0",
	}
	index := v1.ImageIndex(mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	for _, arch := range arches {
		img, err := r.platformImage(arch, *config)
		if err != nil {
			return "", err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	dir := filepath.Join(work, "image")
	if _, err := layout.Write(dir, mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: index, Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": fileVersion(r.version)}},
	})); err != nil {
		return "", fmt.Errorf("write the image: %w", err)
	}
	name := "culvert-relay_" + fileVersion(r.version) + ".oci.tar"
	return name, r.tarDir(dir, filepath.Join(r.out, name))
}

// platformImage is the image of one platform: the program, certificates, and no more.
func (r *release) platformImage(arch string, config v1.Config) (v1.Image, error) {
	layer, err := r.imageLayer(arch)
	if err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil }
	l, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	at := v1.Time{Time: r.commit.time.UTC()}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: arch, Created: at, Config: config, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		return nil, err
	}
	return mutate.Append(img, mutate.Addendum{Layer: l, History: v1.History{Created: at, CreatedBy: "culvert " + r.version}})
}

// imageLayer is what is in the image.
func (r *release) imageLayer(arch string) ([]byte, error) {
	p := r.built["linux/"+arch]
	var out bytes.Buffer
	t := tar.NewWriter(&out)
	add := func(name string, mode fs.FileMode, owner int, text []byte) error {
		h := &tar.Header{Name: name, Mode: int64(mode), Uid: owner, Gid: owner, Size: int64(len(text)), ModTime: r.commit.time, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if strings.HasSuffix(name, "/") {
			h.Typeflag = tar.TypeDir
		}
		err := t.WriteHeader(h)
		if err == nil {
			_, err = t.Write(text)
		}
		return err
	}
	made := map[string]bool{}
	put := func(name string, mode fs.FileMode, owner int, text []byte) error {
		for i, c := range name { // the directories that it is in
			if dir := name[:i+1]; c == '/' && dir != name && !made[dir] {
				made[dir] = true
				if err := add(dir, 0o755, 0, nil); err != nil {
					return err
				}
			}
		}
		return add(name, mode, owner, text)
	}
	program, err := os.ReadFile(p.bin)
	if err != nil {
		return nil, err
	}
	doc := "usr/local/share/doc/culvert/"
	for _, f := range []struct {
		name  string
		mode  fs.FileMode
		owner int
		text  []byte
	}{
		{"etc/ssl/certs/ca-certificates.crt", 0o644, 0, certificates()},
		{"etc/passwd", 0o644, 0, fmt.Appendf(nil, "culvert:x:%d:%d::/%s:/nowhere\n", nobody, nobody, imageState)},
		{"etc/group", 0o644, 0, fmt.Appendf(nil, "culvert:x:%d:\n", nobody)},
		{"tmp/", 0o1777, 0, nil},
		{imageState + "/", 0o700, nobody, nil}, // a new volume takes its owner
		{imageBin, 0o755, 0, program},
		{doc + bomName, 0o644, 0, p.bom},
		{doc + licencesName, 0o644, 0, p.licences},
	} {
		if err := put(f.name, f.mode, f.owner, f.text); err != nil {
			return nil, err
		}
	}
	err = t.Close()
	return out.Bytes(), err
}

// certificates are those by which browsers believe servers, as the Go project collects
// them; not the few that are believed for some servers only.
func certificates() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer does not fail
		}
	}
	return b.Bytes()
}

// tarDir writes a directory as a tar file. A layout's files come in the order of their names.
func (r *release) tarDir(dir, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	t := tar.NewWriter(f)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		h := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(text)), ModTime: r.commit.time, Format: tar.FormatPAX}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		_, err = t.Write(text)
		return err
	})
	for _, c := range []io.Closer{t, f} {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// unmarshalWords reads the JSON form of ENTRYPOINT and CMD, which has no shell in between.
func unmarshalWords(text string) (words []string, err error) {
	if err = json.Unmarshal([]byte(text), &words); err != nil {
		err = fmt.Errorf("%s: write words as JSON: %w", text, err)
	}
	return words, err
}
