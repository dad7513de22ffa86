package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"culvert/sbrp"
)

const clientsFile = "authorized_clients"

// AuthorizedClients is the file authorized_clients. All methods may be called
// concurrently. Edits, by hand or by another process, take effect at the next
// call of Allowed. Get it from Dir.AuthorizedClients.
type AuthorizedClients struct {
	dir *Dir
	now func() time.Time

	mu        sync.Mutex // guards the rest; held while the file is read, which is short
	set       clientSet
	seen      fileState
	read      bool // set, seen and readAt are those of a file that was read
	readAt    time.Time
	reported  map[string]bool // problems that onProblem has been told of and that still stand
	onProblem func(error)
	version   uint64 // counts the changes of set.clients
}

// clientSet is the parsed file.
type clientSet struct {
	clients []Grant
	byKey   map[[32]byte]int // index in clients
	bad     []*LineError
	err     error // the file cannot be used at all: nobody is allowed
}

// AuthorizedClients returns the grants of this state directory: the same value
// at every call. It reads nothing yet.
func (d *Dir) AuthorizedClients() *AuthorizedClients { return d.clients }

// OnProblem sets the function that is told of each line that grants nothing
// because it cannot be understood (*LineError), and of a file that cannot be
// used: once per problem, when it is first seen. It is called from within
// Allowed, Lookup, List and Watch, never concurrently with itself by one
// caller, and must not block. Set it before the first use.
func (a *AuthorizedClients) OnProblem(f func(error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.onProblem = f
}

// Allowed tells whether the client with that key may reach the target now:
// nil, or a *DeniedError. When the file cannot be read, nobody may, and the
// error says why. It looks at the file each time (one stat when it has not
// changed).
func (a *AuthorizedClients) Allowed(key [32]byte, target string) error {
	c, err := a.Lookup(key)
	if err != nil {
		if de, ok := errors.AsType[*DeniedError](err); ok {
			de.Target = target
		}
		return err
	}
	if !c.Grants(target) {
		return &DeniedError{Reason: TargetNotGranted, Client: c.Key.Fingerprint(), Name: c.Name, Target: target}
	}
	return nil
}

// Lookup returns the client's line if it grants anything now, else a
// *DeniedError (not_authorized or expired).
func (a *AuthorizedClients) Lookup(key [32]byte) (Grant, error) {
	set := a.current()
	if set.err != nil {
		return Grant{}, fmt.Errorf("check grants: %w", set.err)
	}
	i, ok := set.byKey[key]
	if !ok {
		return Grant{}, &DeniedError{Reason: NotAuthorized, Client: sbrp.PublicKey(key).Fingerprint()}
	}
	c := set.clients[i]
	if c.ExpiredAt(a.now()) {
		return Grant{}, &DeniedError{Reason: Expired, Client: c.Key.Fingerprint(), Name: c.Name, Expired: c.Expires}
	}
	return c.clone(), nil
}

// List returns all clients in the file's order, expired ones too, and the
// lines that grant nothing because they cannot be understood.
func (a *AuthorizedClients) List() ([]Grant, []*LineError, error) {
	set := a.current()
	if set.err != nil {
		return nil, nil, set.err
	}
	cs := make([]Grant, len(set.clients))
	for i, c := range set.clients {
		cs[i] = c.clone()
	}
	return cs, slices.Clone(set.bad), nil
}

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

func (c Grant) clone() Grant {
	c.Targets = slices.Clone(c.Targets)
	return c
}

// parseClients parses the file's content.
func parseClients(file string, data []byte) clientSet {
	good, bad := parseLines(file, data, parseClient)
	first := make(map[[32]byte]int, len(good)) // line of the key's first entry
	twice := make(map[[32]byte]bool)
	for _, e := range good {
		if _, ok := first[e.value.Key]; ok {
			twice[e.value.Key] = true
			continue
		}
		first[e.value.Key] = e.line
	}
	set := clientSet{byKey: make(map[[32]byte]int, len(good))}
	for _, e := range good {
		if twice[e.value.Key] {
			bad = append(bad, &LineError{File: file, Line: e.line, Msg: fmt.Sprintf("the key of client %q stands on more than one line (first on line %d), so none of them grants anything: keep one", e.value.Name, first[e.value.Key])})
			continue
		}
		e.value.Line = e.line
		set.byKey[e.value.Key] = len(set.clients)
		set.clients = append(set.clients, e.value)
	}
	sortProblems(bad)
	set.bad = bad
	return set
}

// loadClients reads the file for the first time or again.
func (a *AuthorizedClients) loadClients() (clientSet, fileState) {
	data, fi, err := a.dir.read(clientsFile, checkTrustMode)
	switch {
	case isMissing(err):
		return clientSet{}, fileState{}
	case err != nil:
		return clientSet{err: err}, fileState{}
	}
	return parseClients(a.dir.File(clientsFile), data), stateOf(fi)
}
