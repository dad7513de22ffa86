package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"culvert/config/private"
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
		ls, c = putClient(ls, all, c)
		return ls, nil
	})
	if err != nil {
		return Grant{}, err
	}
	return c, nil
}

// putClient puts the client's line in the place of all that its key has, and returns it as written.
func putClient(ls []string, all []entry[Grant], c Grant) ([]string, Grant) {
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
		return append(ls, line), c
	}
	c.Line = mine[0]
	ls[mine[0]-1] = line
	return removeLines(ls, mine[1:]), c
}

// Rename gives a client, found by its name or its key in text form (ErrNotFound), another
// name, which no other key may have (ErrNameTaken). What it may reach stays as it is.
func (a *AuthorizedClients) Rename(keyOrName, name string) (renamed Grant, err error) {
	if err := CheckName(name); err != nil {
		return Grant{}, fmt.Errorf("rename: %w", err)
	}
	err = a.edit(func(ls []string, all []entry[Grant]) ([]string, error) {
		at, err := findClient(all, keyOrName)
		if err != nil {
			return nil, fmt.Errorf("rename: %w", err)
		}
		renamed = all[at].value
		renamed.Name, renamed.Line = name, all[at].line
		if freeName(all, renamed) != name {
			return nil, fmt.Errorf("rename: %w: %s", ErrNameTaken, clip(name))
		}
		for _, e := range all {
			if e.value.Key.Equal(renamed.Key) { // also where it stands twice, and grants nothing
				e.value.Name = name
				ls[e.line-1] = string(appendClient(nil, e.value))
			}
		}
		return ls, nil
	})
	if err != nil {
		return Grant{}, err
	}
	return renamed, nil
}

// Export returns the lines of all clients that can be understood, in the file's syntax, and
// the lines that cannot.
func (a *AuthorizedClients) Export() ([]byte, []*LineError, error) {
	clients, bad, err := a.List()
	if err != nil {
		return nil, nil, err
	}
	var b []byte
	for _, c := range clients {
		b = append(appendClient(b, c), '\n')
	}
	return b, bad, nil
}

// Import grants what the lines of another such file grant; from is its name, for errors. Each
// line replaces what its key was granted before; clients that the lines do not name stay. A
// name that another key has gets a number behind it. It is all or nothing: a line that cannot
// be understood, or a key that stands twice, is an error with every such line (*LineError).
func (a *AuthorizedClients) Import(from string, data []byte) ([]Grant, error) {
	set := parseClients(from, data)
	if len(set.bad) > 0 {
		errs := make([]error, 0, len(set.bad))
		for _, b := range set.bad {
			errs = append(errs, b)
		}
		return nil, fmt.Errorf("import clients: nothing is imported: %w", errors.Join(errs...))
	}
	err := a.edit(func(ls []string, all []entry[Grant]) ([]string, error) {
		for i, c := range set.clients {
			if i > 0 {
				all, _ = parseLines(a.dir.File(clientsFile), joinLines(ls), parseClient)
			}
			ls, set.clients[i] = putClient(ls, all, c)
		}
		return ls, nil
	})
	if err != nil {
		return nil, err
	}
	return set.clients, nil
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
	return a.dir.update(clientsFile, private.Trust, func(old []byte) ([]byte, error) {
		all, _ := parseLines(a.dir.File(clientsFile), old, parseClient)
		ls := lines(old)
		if old == nil {
			ls = lines([]byte(clientsHeader))
		}
		ls, err := change(ls, all)
		if err != nil {
			return nil, err
		}
		if len(ls) == 0 {
			ls = lines([]byte(clientsHeader)) // an empty file looks as if it was being written
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
