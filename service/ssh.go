package service

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"

	"culvert/config"
	"culvert/sbrp/api"
	"culvert/tunnel"
)

// SSHTarget is what a daemon's ssh server is called unless told otherwise.
const SSHTarget = "ssh"

// SSHOptions say how ssh reaches a daemon's ssh server.
type SSHOptions struct {
	Common
	Daemon string
	User   string   // empty: ssh's own choice
	Target string   // empty: SSHTarget
	Args   []string // for ssh
	// FirstUse pins a daemon that is not known yet with the key that the control plane
	// gives. Otherwise such a daemon is refused.
	FirstUse bool
	// PassphraseFile is the path of a file with the passphrase of the device key; empty:
	// it has none, or is asked for.
	PassphraseFile string
}

// SSHCommand returns the command line that runs the system's ssh through the tunnel, as
// ProxyCommand of this very program. The host's key is known under a name of its own, so
// that known_hosts neither changes with the way to the host nor mixes it up with a host
// that has the daemon's name in the network.
func SSHCommand(o SSHOptions) ([]string, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return nil, errorf(CodeFailure, "ssh", "install OpenSSH's client", "run ssh: %w", err)
	}
	proxy, err := o.proxyCommand()
	if err != nil {
		return nil, err
	}
	host := o.Daemon
	if o.User != "" {
		host = o.User + "@" + o.Daemon
	}
	return append([]string{ssh, "-o", "ProxyCommand=" + proxy, "-o", "HostKeyAlias=" + o.alias(), host}, o.Args...), nil
}

// SSHConfig returns the block for ssh_config that does the same for every program that
// uses ssh.
func SSHConfig(o SSHOptions) (string, error) {
	if err := o.check(); err != nil {
		return "", err
	}
	proxy, err := o.proxyCommand()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Host %s\n", o.Daemon)
	if o.User != "" {
		fmt.Fprintf(&b, "    User %s\n", configWord(o.User))
	}
	fmt.Fprintf(&b, "    HostKeyAlias %s\n    ProxyCommand %s\n", o.alias(), proxy)
	return b.String(), nil
}

// check keeps ssh from taking a name for a flag, and its shell for a command.
func (o SSHOptions) check() error {
	if err := api.CheckDaemonName(o.Daemon); err != nil {
		return &Error{Code: CodeUsage, Name: "daemon", Err: err, Mend: "`culvert trust list` shows the daemons"}
	}
	if err := tunnel.CheckTargetName(o.target()); err != nil {
		return &Error{Code: CodeUsage, Name: "target", Err: err, Mend: "give --target the name that `culvert expose` uses"}
	}
	if strings.HasPrefix(o.User, "-") || strings.ContainsFunc(o.User, unicode.IsControl) || strings.Contains(o.User, `"`) {
		return errorf(CodeUsage, "user", "write it as me@laptop", "%q is no user's name", o.User)
	}
	return nil
}

// alias is the name of the host's key in known_hosts.
func (o SSHOptions) alias() string {
	if o.target() == SSHTarget {
		return o.Daemon + ".culvert"
	}
	return o.target() + "." + o.Daemon + ".culvert"
}

func (o SSHOptions) target() string {
	if o.Target == "" {
		return SSHTarget
	}
	return o.Target
}

// proxyCommand checks that the daemon is known, which ssh would tell in its own way and
// with its own exit code, and returns the command for the shell that ssh gives it to.
func (o SSHOptions) proxyCommand() (string, error) {
	dir, err := openDir(o.StateDir)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	_, err = dir.KnownDaemons().Lookup(o.Daemon)
	if errors.Is(err, config.ErrNotFound) && !o.FirstUse {
		return "", errorf(CodeRefused, "not_trusted",
			"culvert pair CODE, with a code from `culvert pair` at the daemon; or --trust-on-first-use",
			"daemon %q is not pinned on this machine", o.Daemon)
	} else if err != nil && !errors.Is(err, config.ErrNotFound) {
		return "", stateError(err)
	}
	self, err := ownPath()
	if err != nil {
		return "", &Error{Code: CodeFailure, Name: "executable", Err: err}
	}
	words := []string{self, "--state-dir", dir.Path()}
	if o.PassphraseFile != "" {
		path, err := filepath.Abs(o.PassphraseFile)
		if err != nil {
			return "", stateError(err)
		}
		words = append(words, "--passphrase-file", path)
	}
	words = append(words, "stdio")
	if o.FirstUse {
		words = append(words, "--trust-on-first-use")
	}
	words = append(words, o.Daemon, o.target())
	for i, w := range words {
		// ssh replaces %h and the like before the shell sees the command.
		words[i] = strings.ReplaceAll(shellWord(w, runtime.GOOS), "%", "%%")
	}
	return strings.Join(words, " "), nil
}

// ownPath is the path of this program as it was called, which outlives an update where
// that is a link, or else as the system knows it.
func ownPath() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program's path: %w", err)
	}
	called, err := exec.LookPath(os.Args[0])
	if err != nil || !filepath.IsAbs(called) {
		return self, nil
	}
	a, aerr := os.Stat(called)
	b, berr := os.Stat(self)
	if aerr != nil || berr != nil || !os.SameFile(a, b) {
		return self, nil
	}
	return called, nil
}

// shellWord quotes a word for the shell that ssh runs on the system: the user's on Unix,
// cmd.exe on Windows, where a path cannot hold the quotes.
func shellWord(w, goos string) string {
	plain := w != "" && !strings.ContainsFunc(w, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("-_./:@+,", r) || r == '\\' && goos == "windows")
	})
	switch {
	case plain:
		return w
	case goos == "windows":
		return `"` + w + `"`
	default:
		return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
}

// configWord quotes a word of ssh_config.
func configWord(w string) string {
	if strings.ContainsAny(w, " \t#") {
		return `"` + w + `"`
	}
	return w
}
