package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"culvert/sbrp"
)

const clientsHeader = `# Clients that may connect to this machine. Managed by "culvert pair", "grant" and
# "revoke"; may be edited by hand: a saved change takes effect at once.
#
#   PUBLICKEY NAME targets=web,ssh [expires=2030-01-31T12:00:00Z]
#
# One line per client key. targets=* is every target. A line that cannot be
# understood grants nothing; two lines with the same key grant nothing.
`

// AllTargets in Grant.Targets stands for every target that there is or will be.
const AllTargets = "*"

// Grant is one line of authorized_clients.
type Grant struct {
	Key     sbrp.PublicKey
	Name    string    // for people; unique in the file
	Targets []string  // target names, or AllTargets alone
	Expires time.Time // zero: never; whole seconds
	Line    int       // where it stands in the file; set by List and Lookup
}

// Grants tells whether the line names the target. It does not look at Expires.
func (c Grant) Grants(target string) bool {
	return slices.Contains(c.Targets, target) || slices.Contains(c.Targets, AllTargets)
}

// ExpiredAt tells whether the grant is over at now.
func (c Grant) ExpiredAt(now time.Time) bool {
	return !c.Expires.IsZero() && !now.Before(c.Expires)
}

// Equal compares everything but the line's number.
func (c Grant) Equal(o Grant) bool {
	return c.Key.Equal(o.Key) && c.Name == o.Name && c.Expires.Equal(o.Expires) && slices.Equal(c.Targets, o.Targets)
}

// parseClient parses one line of authorized_clients.
func parseClient(line string) (Grant, error) {
	words, err := splitLine(line)
	if err != nil {
		return Grant{}, err
	}
	if len(words) < 3 {
		return Grant{}, problem(0, "expected PUBLICKEY NAME targets=…")
	}
	var c Grant
	if err := c.Key.UnmarshalText([]byte(words[0].text)); err != nil || c.Key.IsZero() {
		return Grant{}, problem(words[0].col, "public key is damaged: expected 43 characters of base64url")
	}
	c.Name = words[1].text
	if err := CheckName(c.Name); err != nil {
		return Grant{}, problem(words[1].col, "%v", err)
	}
	as, err := attrs(words[2:], "targets", "expires")
	if err != nil {
		return Grant{}, err
	}
	targets, ok := as["targets"]
	if !ok {
		return Grant{}, problem(0, "targets=… is missing")
	}
	c.Targets = strings.Split(targets.text, ",")
	if err := checkTargets(c.Targets); err != nil {
		return Grant{}, problem(targets.col, "%v", err)
	}
	if expires, ok := as["expires"]; ok {
		if c.Expires, err = parseTime(expires); err != nil {
			return Grant{}, err
		}
	}
	return c, nil
}

// appendClient is the reverse of parseClient.
func appendClient(b []byte, c Grant) []byte {
	b = append(b, c.Key.String()...)
	b = append(b, ' ')
	b = append(b, c.Name...)
	b = appendAttr(b, "targets", strings.Join(c.Targets, ","))
	if !c.Expires.IsZero() {
		b = appendAttr(b, "expires", c.Expires.UTC().Format(time.RFC3339))
	}
	return b
}

// checkTargets is what every list of granted targets fulfils. Target names
// have the form of device names.
func checkTargets(ts []string) error {
	if len(ts) == 0 {
		return errors.New("targets are missing: name some, or * for all")
	}
	for i, t := range ts {
		switch {
		case t == AllTargets && len(ts) > 1:
			return errors.New("targets: * stands alone")
		case t == AllTargets:
			continue
		case slices.Contains(ts[:i], t):
			return fmt.Errorf("target %s stands twice", clip(t))
		}
		if err := CheckName(t); err != nil {
			return fmt.Errorf("target %w", err)
		}
	}
	return nil
}
