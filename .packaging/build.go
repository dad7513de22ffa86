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
	"time"
)

// commit is what is released. Everything made has its time, so that equal sources make
// equal files.
type commit struct {
	hash string
	time time.Time
}

func headCommit(root string) (commit, error) {
	out, err := exec.Command("git", "-C", root, "log", "-1", "--format=%H %cI").Output()
	if err != nil {
		return commit{}, fmt.Errorf("ask git for the commit: %w", err)
	}
	hash, when, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	at, err := time.Parse(time.RFC3339, when)
	if err != nil {
		return commit{}, fmt.Errorf("ask git for the commit: %w", err)
	}
	return commit{hash, at}, nil
}

// build builds culvert for a platform, once.
func (r *release) build(work, goos, arch string) (string, error) {
	path := filepath.Join(work, goos+"-"+arch, "culvert")
	if goos == "windows" {
		path += ".exe"
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", path, "./cmd/culvert")
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build for %s/%s: %w\n%s", goos, arch, err, out)
	}
	return path, nil
}

// writeChecksums writes SHA256SUMS over what was made.
func writeChecksums(out string, names []string) error {
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		f, err := os.Open(filepath.Join(out, name))
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, f)
		f.Close()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", hex.EncodeToString(sum.Sum(nil)), name)
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(b.String()), 0o644)
}
