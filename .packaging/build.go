package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// buildEnv is the environment of the go command for a platform: what could make another
// program of the same sources is set.
func buildEnv(goos, arch string) []string {
	return append(os.Environ(), "GOOS="+goos, "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly",
		"GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GODEBUG=")
}

// build builds culvert for a platform into dir.
func (r *release) build(dir, goos, arch string) (string, error) {
	path := filepath.Join(dir, "culvert")
	if goos == "windows" {
		path += ".exe"
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", path, "./cmd/culvert")
	cmd.Dir = r.root
	cmd.Env = buildEnv(goos, arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build for %s/%s: %w\n%s", goos, arch, err, out)
	}
	return path, nil
}

// checksum is the SHA-256 of a file that was made.
func (r *release) checksum(name string) (string, error) {
	f, err := os.Open(filepath.Join(r.out, name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// writeChecksums writes SHA256SUMS over what was made.
func (r *release) writeChecksums() error {
	slices.Sort(r.made)
	var b strings.Builder
	for _, name := range r.made {
		sum, err := r.checksum(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, name)
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(b.String()), 0o644)
}
