package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"culvert/sbrp"
)

// Grant writes a client's line and returns it as written. It replaces what
// that key was granted before: afterwards the client may reach exactly
// c.Targets until c.Expires.
//
// Without a key the client is found by its name, which must be in the file
// (ErrNotFound). Without a name the present one stays, or one is made from the
// key. A name that another key has gets a number behind it, since the name is
// the client's own choice when it pairs.
func (a *AuthorizedClients) Grant(c Grant) (Grant, error) {
	c = c.clone()
	c.Expires = c.Expires.UTC().Truncate(time.Second)
	if err := checkTargets(c.Targets); err != nil {
		return Grant{}, fmt.Errorf("grant: %w", err)
	}
	if c.Name != "" {
		if err := CheckName(c.Name); err != nil {
			return Grant{}, fmt.Errorf("grant: %w", err)
		}
	}
	err := a.edit(func(ls []string, all []entry[Grant]) ([]string, error) {
		if c.Key.IsZero() {
			at, err := findClient(all, c.Name)
			if err != nil {
				return nil, fmt.Errorf("grant: %w", err)
			}
			c.Key = all[at].value.Key
		}
		var mine []int // lines of this key
		for _, e := range all {
			if e.value.Key.Equal(c.Key) {
				mine = append(mine, e.line)
				c.Name = cmp.Or(c.Name, e.value.Name)
			}
		}
		c.Name = freeName(all, c)
		line := string(appendClient(nil, c))
		if len(mine) == 0 {
			c.Line = len(ls) + 1
			return append(ls, line), nil
		}
		c.Line = mine[0]
		ls[mine[0]-1] = line
		return removeLines(ls, mine[1:]), nil
	})
	if err != nil {
		return Grant{}, err
	}
	return c, nil
}

// Revoke removes every line of a client, given by its name or by its key in
// text form, and returns the client (ErrNotFound).
func (a *AuthorizedClients) Revoke(keyOrName string) (gone Grant, err error) {
	err = a.edit(func(ls []string, all []entry[Grant]) ([]string, error) {
		at, err := findClient(all, keyOrName)
		if err != nil {
			return nil, fmt.Errorf("revoke: %w", err)
		}
		gone = all[at].value
		var drop []int
		for _, e := range all {
			if e.value.Key.Equal(gone.Key) {
				drop = append(drop, e.line)
			}
		}
		return removeLines(ls, drop), nil
	})
	return gone, err
}

// edit rewrites the file under the directory's lock. It sees every line that
// can be parsed, also those that grant nothing because their key stands twice.
func (a *AuthorizedClients) edit(change func(ls []string, all []entry[Grant]) ([]string, error)) error {
	return a.dir.update(clientsFile, checkTrustMode, func(old []byte) ([]byte, error) {
		all, _ := parseLines(a.dir.File(clientsFile), old, parseClient)
		ls := lines(old)
		if old == nil {
			ls = lines([]byte(clientsHeader))
		}
		ls, err := change(ls, all)
		if err != nil {
			return nil, err
		}
		return joinLines(ls), nil
	})
}

// findClient finds the one client that a key, a fingerprint or a name means,
// in this order: a name is the client's own choice, and must not be able to
// stand for another client's key.
func findClient(all []entry[Grant], text string) (int, error) {
	var key sbrp.PublicKey
	if key.UnmarshalText([]byte(text)) == nil {
		if i := slices.IndexFunc(all, func(e entry[Grant]) bool { return e.value.Key.Equal(key) }); i >= 0 {
			return i, nil
		}
	}
	if fp, err := sbrp.ParseFingerprint(text); err == nil {
		if i := slices.IndexFunc(all, func(e entry[Grant]) bool { return e.value.Key.Fingerprint() == fp }); i >= 0 {
			return i, nil
		}
	}
	found := -1
	for i, e := range all {
		switch {
		case e.value.Name != text:
		case found < 0:
			found = i
		case !all[found].value.Key.Equal(e.value.Key):
			return 0, fmt.Errorf("client %s is the name of several keys (lines %d and %d): give the key", clip(text), all[found].line, e.line)
		}
	}
	if found < 0 {
		return 0, fmt.Errorf("client %s: %w", clip(text), ErrNotFound)
	}
	return found, nil
}

// freeName returns the client's name, or a variation that no other key has.
func freeName(all []entry[Grant], c Grant) string {
	name := cmp.Or(c.Name, "client-"+strings.ToLower(strings.ReplaceAll(c.Key.Fingerprint().Short(), ":", "")))
	taken := func(s string) bool {
		return slices.ContainsFunc(all, func(e entry[Grant]) bool { return e.value.Name == s && !e.value.Key.Equal(c.Key) })
	}
	base := name
	for n := 2; taken(name); n++ {
		tail := fmt.Sprintf("-%d", n)
		name = base[:min(len(base), MaxName-len(tail))] + tail
	}
	return name
}
