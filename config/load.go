package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The environment variables that culvert reads. Nothing else in the module
// looks at the environment, except net/http for HTTP(S)_PROXY and NO_PROXY.
const (
	// EnvStateDir names the state directory.
	EnvStateDir = "CULVERT_STATE_DIR"
	// EnvAPIKeyFile names a file that holds an API key. The key itself is
	// never taken from the environment, which other processes can read.
	EnvAPIKeyFile = "CULVERT_API_KEY_FILE"
	// EnvPassphraseFile names a file that holds the device key's passphrase.
	EnvPassphraseFile = "CULVERT_PASSPHRASE_FILE"
	// EnvNoColor, set to anything, turns off colour and redrawing.
	EnvNoColor = "NO_COLOR"
	// EnvTerm names the terminal's kind; "dumb" is one that only shows text.
	EnvTerm = "TERM"
	// EnvService is the name of the Windows service that this process is.
	EnvService = "CULVERT_SERVICE"
	// EnvSudoUser is who has become the superuser for this command.
	EnvSudoUser = "SUDO_USER"
	// EnvProgramData is where Windows has the data of services.
	EnvProgramData = "ProgramData"
)

// resolve is the one place that knows the order flag, environment, file,
// default. Empty means not given; the default is asked for only when needed,
// because finding it can fail.
func resolve(flag, env, file string, def func() (string, error)) (string, error) {
	for _, v := range []string{flag, env, file} {
		if v != "" {
			return v, nil
		}
	}
	return def()
}

// StateDir returns the absolute path of the state directory: flag, else
// CULVERT_STATE_DIR, else culvert below the user's configuration directory.
func StateDir(flag string) (string, error) {
	dir, err := resolve(flag, os.Getenv(EnvStateDir), "", DefaultDir)
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find state directory: %w", err)
	}
	return abs, nil
}

// DefaultDir is culvert below os.UserConfigDir: ~/.config/culvert,
// ~/Library/Application Support/culvert or %AppData%\culvert.
func DefaultDir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find state directory: %w: give --state-dir or set %s", err, EnvStateDir)
	}
	return filepath.Join(dir, "culvert"), nil
}

// errNoFile is internal: no file was named.
var errNoFile = errors.New("no file")

// APIKeyFile returns the path of the file that holds the API key: flag, else
// CULVERT_API_KEY_FILE. The result is false when neither is given.
func APIKeyFile(flag string) (string, bool) {
	p, err := resolve(flag, os.Getenv(EnvAPIKeyFile), "", func() (string, error) { return "", errNoFile })
	return p, err == nil
}

// PassphraseFile returns the path of the file that holds the device key's passphrase:
// flag, else CULVERT_PASSPHRASE_FILE. The result is false when neither is given.
func PassphraseFile(flag string) (string, bool) {
	p, err := resolve(flag, os.Getenv(EnvPassphraseFile), "", func() (string, error) { return "", errNoFile })
	return p, err == nil
}

// NoColor tells whether NO_COLOR, or a terminal that can do no more, asks for plain output.
func NoColor() bool { return os.Getenv(EnvNoColor) != "" || os.Getenv(EnvTerm) == "dumb" }

// ServiceName is the name of the Windows service that this process is; empty: it is none.
func ServiceName() string { return os.Getenv(EnvService) }

// SudoUser is who has become the superuser for this command; empty: nobody.
func SudoUser() string { return os.Getenv(EnvSudoUser) }

// ProgramData is where Windows has the data of services.
func ProgramData() string {
	dir, _ := resolve("", os.Getenv(EnvProgramData), "", func() (string, error) { return `C:\ProgramData`, nil })
	return dir
}
