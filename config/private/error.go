package private

import (
	"fmt"
	"strconv"
	"strings"
)

// Error: others on this machine can read a secret or change who is trusted. Mend
// is the command that puts it right.
type Error struct {
	Path string
	Mode string // as ls prints it, or on Windows whose entry is too much
	Why  string // "can be read by other users", …
	Mend string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (%s) %s: run `%s`", e.Path, e.Mode, e.Why, e.Mend)
}

// Why a file is refused.
const (
	whyRead    = "can be read by other users"
	whyChange  = "can be changed by other users"
	whyForeign = "belongs to another user"
	whyNoList  = "has no access list, so that everybody can read and change it"
)

// Use says what others must not be able to do with a file.
type Use int

const (
	// Secret: neither read nor change it.
	Secret Use = iota
	// Trust: not change it. It says who is trusted, which is no secret, but nobody
	// else's decision.
	Trust
)

// quote makes a path safe to paste into a Unix shell.
func quote(p string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/+@,", r)
	}
	if !strings.ContainsFunc(p, func(r rune) bool { return !plain(r) }) {
		return p
	}
	if !strings.Contains(p, "'") {
		return "'" + p + "'"
	}
	return strconv.Quote(p)
}
