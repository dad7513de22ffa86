package config

import (
	"fmt"
	"strings"
)

// MaxName is the longest device name, in bytes. Names become words in files,
// in ssh_config blocks and in shell commands: longer ones help nobody.
const MaxName = 64

// CheckName tells whether s can name a device: 1 to 64 ASCII letters, digits,
// '-', '_' and '.', the first one a letter or digit (so that a name is never
// taken for a flag, a hidden file or "..").
func CheckName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("name is empty: use 1 to %d letters, digits, '-', '_' or '.'", MaxName)
	case len(s) > MaxName:
		return fmt.Errorf("name is %d bytes long: use at most %d", len(s), MaxName)
	}
	for i := range len(s) {
		if !nameByte(s[i]) {
			return fmt.Errorf("name %q: use letters, digits, '-', '_' and '.' only", s)
		}
	}
	if !alnum(s[0]) {
		return fmt.Errorf("name %q: begin with a letter or digit", s)
	}
	return nil
}

// CleanName makes a valid device name of any text, such as a host name:
// whatever may not stand in a name becomes '-'. Empty text gives "device".
func CleanName(s string) string {
	b := []byte(strings.TrimSpace(s))
	for i, c := range b {
		if !nameByte(c) {
			b[i] = '-'
		}
	}
	out := strings.TrimLeft(string(b[:min(len(b), MaxName)]), "-_.")
	out = strings.TrimRight(out, "-_.")
	if out == "" {
		return "device"
	}
	return out
}

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func nameByte(c byte) bool { return alnum(c) || c == '-' || c == '_' || c == '.' }
