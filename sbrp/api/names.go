package api

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name of a daemon, device or API key, in bytes.
const MaxName = 64

// CheckDaemonName checks a daemon's name. It stands in command lines, ssh
// configurations and variables, so it is made of ASCII letters, digits and . - _
// and begins with a letter or digit. Upper and lower case are one name.
func CheckDaemonName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("daemon name is %d bytes long, must be 1 to %d", len(name), MaxName)
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '-' && c != '_') {
			return errors.New("daemon name must be made of letters, digits and . - _ and begin with a letter or digit")
		}
	}
	return nil
}

// CheckLabel checks the name of a device, an API key or an account, which only
// people read: at most [MaxName] bytes of printable UTF-8, perhaps empty.
func CheckLabel(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("name is %d bytes long, at most %d are allowed", len(name), MaxName)
	}
	if !utf8.ValidString(name) {
		return errors.New("name must be UTF-8")
	}
	for _, r := range name {
		if !unicode.IsPrint(r) { // control characters and the like could rewrite a terminal
			return errors.New("name must be printable")
		}
	}
	return nil
}
