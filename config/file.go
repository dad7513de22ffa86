package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"culvert/config/private"
)

// fileName is the configuration file's name in the state directory.
const fileName = "config.yaml"

// maxConfig bounds the configuration file, in bytes: thousands of forwards. The
// YAML parser's time can grow with the square of a nonsensical file's length.
const maxConfig = 256 << 10

// Value is a word of the configuration file with its place, so that who
// understands it further can say where it is wrong (File.Problem).
type Value struct {
	Text   string
	Line   int // from 1; 0: the value is not in the file
	Column int // from 1
}

// Given tells whether the value stands in the file.
func (v Value) Given() bool { return v.Line > 0 }

// File is a configuration file: what `culvert up` runs. Its form is checked
// when it is loaded; the targets and forwards are texts that package tunnel
// parses.
type File struct {
	Path string

	Name      Value         // the device's name; not given: the host's
	HoldTime  time.Duration // 0: not given
	WhenHeld  Value         // wait or refuse
	LogLevel  Value         // debug, info, warn or error
	LogFormat Value         // text or json
	Targets   []FileTarget
	Forwards  []FileForward
}

// FileTarget is one entry of targets.
type FileTarget struct {
	Name    Value
	Address Value // what follows NAME= on the command line
}

// Spec is the target as the command line takes it, NAME=ADDRESS.
func (t FileTarget) Spec() string { return t.Name.Text + "=" + t.Address.Text }

// FileForward is one forward of one daemon.
type FileForward struct {
	Daemon   Value
	Forward  Value // as the command line takes it, [[BIND:]PORT:]TARGET
	WhenHeld Value // wait or refuse; not given: the file's
}

// FileErrors are all mistakes of a configuration file, in the file's order.
type FileErrors []*LineError

// Error has one mistake per line.
func (es FileErrors) Error() string {
	var b strings.Builder
	for i, e := range es {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Unwrap gives the mistakes to errors.As.
func (es FileErrors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// Problem is a mistake of a value, for callers that understand it further. The
// text of err is shown behind the place.
func (f *File) Problem(v Value, err error) *LineError {
	return &LineError{File: f.Path, Line: v.Line, Column: v.Column, Msg: err.Error()} // printing
}

// ConfigFile loads config.yaml of the state directory. A missing one satisfies
// errors.Is(err, fs.ErrNotExist).
func (d *Dir) ConfigFile() (*File, error) { return LoadFile(d.ConfigPath()) }

// ConfigPath is where config.yaml of the state directory is, or would be.
func (d *Dir) ConfigPath() string { return PathIn(d.path) }

// PathIn is ConfigPath of the state directory at stateDir, which is not opened.
func PathIn(stateDir string) string { return filepath.Join(stateDir, fileName) }

// LoadFile loads the configuration file at path. Mistakes in it are FileErrors:
// all of them, with line, column and, for an unknown key, the one that was
// probably meant. A file that other users can change is a *PermissionError,
// since it says what this machine exposes.
//
// A check understands the values further and returns their mistakes, so that all
// are reported at once; it sees a file without the values that are wrong already.
func LoadFile(path string, checks ...func(*File) FileErrors) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	// A pipe is nothing that others could change, nor is a file in a directory that is
	// closed to them, such as the state directory, where an editor has made it group-writable.
	if fi.Mode().IsRegular() && !inPrivateDir(path) {
		if err := private.Named().Check(f, fi, path, private.Trust); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	if len(data) > maxConfig {
		return nil, fmt.Errorf("load configuration: %s is larger than %d bytes", path, maxConfig)
	}
	return ParseFile(path, data, checks...)
}

// inPrivateDir tells whether only the owner of the file's directory can get at the file by
// that path.
func inPrivateDir(path string) bool {
	dir, err := os.Stat(filepath.Dir(path))
	return err == nil && dir.Mode().Perm()&0o011 == 0
}

// ParseFile is LoadFile for data that is in memory; path is for messages.
func ParseFile(path string, data []byte, checks ...func(*File) FileErrors) (*File, error) {
	l := &loader{file: &File{Path: path}}
	if l.load(data) {
		for _, check := range checks {
			l.errs = append(l.errs, check(l.file)...)
		}
	}
	if len(l.errs) > 0 {
		slices.SortStableFunc(l.errs, func(a, b *LineError) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		return nil, l.errs
	}
	return l.file, nil
}

// oneOf checks a value that is one of a few words.
func oneOf(v Value, words ...string) error {
	if slices.Contains(words, v.Text) {
		return nil
	}
	if near := nearest(v.Text, words); near != "" {
		return fmt.Errorf("%s is not allowed here: did you mean %s?", clip(v.Text), near)
	}
	return fmt.Errorf("%s is not allowed here: use %s", clip(v.Text), strings.Join(words, " or "))
}

// parseHoldTime takes Go's durations; a day has no unit there, and need not.
func parseHoldTime(v Value) (time.Duration, error) {
	d, err := time.ParseDuration(v.Text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is no duration: write 90s, 10m or 1h30m", clip(v.Text))
	case d <= 0:
		return 0, errors.New("the hold time must be more than 0")
	case d > 24*time.Hour:
		return 0, errors.New("the hold time must be at most 24h")
	}
	return d, nil
}
