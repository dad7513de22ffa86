package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// commit is what is released. Everything made has its time, so that equal sources make
// equal files.
type commit struct {
	hash string
	time time.Time // or what SOURCE_DATE_EPOCH says
}

func headCommit(root string) (commit, error) {
	out, err := git(root, "log", "-1", "--format=%H %ct")
	if err != nil {
		return commit{}, err
	}
	hash, when, _ := strings.Cut(out, " ")
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		when = epoch
	}
	seconds, err := strconv.ParseInt(when, 10, 64)
	if err != nil {
		return commit{}, fmt.Errorf("read the time of the commit, or SOURCE_DATE_EPOCH: %w", err)
	}
	return commit{hash, time.Unix(seconds, 0).UTC()}, nil
}

// git asks it about the repository.
func git(root string, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", root}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

var releaseTag = regexp.MustCompile(`^v(\d+\.\d+\.\d+)$`)

// setVersion says which version is made.
func (r *release) setVersion() error {
	if !r.final {
		if r.version == "" {
			r.version = "0.0.0~" + r.commit.time.Format("20060102150405") + "." + r.commit.hash[:12]
		}
		return nil
	}
	if r.version != "" {
		return errors.New("-release takes the version from the tag: leave -version out")
	}
	changed, err := git(r.root, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("commit first: a release has nothing else in it:\n%s", changed)
	}
	tags, err := git(r.root, "tag", "--points-at", "HEAD")
	if err != nil {
		return err
	}
	for tag := range strings.SplitSeq(tags, "\n") {
		if m := releaseTag.FindStringSubmatch(tag); m != nil && r.version != "" {
			return fmt.Errorf("this commit is both v%s and %s", r.version, tag)
		} else if m != nil {
			r.version = m[1]
		}
	}
	if r.version == "" {
		return errors.New("this commit has no tag such as v1.2.0; `make release-snapshot` needs none")
	}
	return nil
}

// fileVersion is a version in the name of a file.
func fileVersion(version string) string { return strings.ReplaceAll(version, "~", "-") }
