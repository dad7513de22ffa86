package main

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// untar unpacks a tar file; owners are kept where the superuser asks for it.
func untar(t *testing.T, f io.Reader, dir string) {
	t.Helper()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			var text []byte
			if text, err = io.ReadAll(r); err == nil {
				if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
					err = os.WriteFile(path, text, 0o600)
				}
			}
		}
		if err == nil {
			err = os.Chmod(path, h.FileInfo().Mode())
		}
		if err == nil && os.Geteuid() == 0 {
			err = os.Lchown(path, h.Uid, h.Gid)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// openImage is this machine's image in the OCI layout that was made.
func openImage(t *testing.T, r *release) v1.Image {
	t.Helper()
	i := slices.IndexFunc(r.made, func(name string) bool { return strings.HasSuffix(name, ".oci.tar") })
	f, err := os.Open(filepath.Join(r.out, r.made[i]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	untar(t, f, dir)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if index, err = index.ImageIndex(m.Manifests[0].Digest); err != nil {
		t.Fatal(err)
	}
	if m, err = index.IndexManifest(); err != nil {
		t.Fatal(err)
	}
	for _, d := range m.Manifests {
		if d.Platform.Architecture == runtime.GOARCH && d.Platform.OS == "linux" {
			img, err := index.Image(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return img
		}
	}
	t.Fatal("no image for this machine")
	return nil
}

// The image is unpacked and its relay run as a container engine would: with the image's
// words, environment and user, seeing nothing but the image; and asked by its health check.
func TestImage(t *testing.T) {
	img := openImage(t, theRelease(t))
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if c.User != "65532:65532" || c.Healthcheck == nil || config.Created.Unix() != theRelease(t).commit.time.Unix() {
		t.Fatalf("config %+v, created %v", c, config.Created)
	}
	root := t.TempDir()
	for dir := root; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // the image's user goes through
			t.Fatal(err)
		}
	}
	untar(t, mutate.Extract(img), root)
	certs, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil || strings.Count(string(certs), "BEGIN CERTIFICATE") < 100 {
		t.Errorf("certificates: %d bytes, %v", len(certs), err)
	}
	inImage := func(words ...string) *exec.Cmd {
		if words[0] == "culvert" {
			words[0] = "/" + imageBin
		}
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Env = slices.Clone(c.Env)
		if os.Geteuid() == 0 {
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		} else { // who may not call chroot: the same in the directory
			cmd.Path = filepath.Join(root, words[0])
			cmd.Env = append(cmd.Env, "CULVERT_STATE_DIR="+filepath.Join(root, imageState), "XDG_RUNTIME_DIR="+t.TempDir())
		}
		return cmd
	}
	relay := inImage(append(append(slices.Clone(c.Entrypoint), c.Cmd...), "--listen", "127.0.0.1:0")...)
	stderr, err := relay.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	defer relay.Process.Kill()
	ready := regexp.MustCompile(`relay ready at (\S+)`)
	url := ""
	for s := bufio.NewScanner(stderr); url == "" && s.Scan(); {
		if m := ready.FindStringSubmatch(s.Text()); m != nil {
			url = m[1]
		}
	}
	go io.Copy(io.Discard, stderr) // ends with the process
	client := &http.Client{Timeout: time.Minute}
	resp, err := client.Get(url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("readyz: %s", resp.Status)
	}
	check := c.Healthcheck.Test[1:]
	if out, err := inImage(slices.Clone(check)...).CombinedOutput(); err != nil {
		t.Errorf("health check: %v: %s", err, out)
	}
	if err := relay.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := relay.Wait(); err != nil {
		t.Errorf("its end: %v", err)
	}
	if out, err := inImage(slices.Clone(check)...).CombinedOutput(); err == nil {
		t.Errorf("the health check finds nothing wrong when nothing runs: %s", out)
	}
}
