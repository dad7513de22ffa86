package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"culvert/config/private"
	"culvert/sbrp"
)

const clientsFile = "authorized_clients"

// AuthorizedClients is the file authorized_clients. All methods may be called
// concurrently. Edits, by hand or by another process, take effect at the next
// call of Allowed; a file that is emptied, removed or cut in a line does so only when
// it has been that for a moment, since editors do that on their way. Get it from Dir.AuthorizedClients.
type AuthorizedClients struct {
	dir *Dir
	now func() time.Time

	mu        sync.Mutex // guards the rest; held while the file is read, which is short
	set       clientSet
	seen      fileState
	read      bool // set, seen and readAt are those of a file that was read
	readAt    time.Time
	lost      time.Time       // since when the file has looked unfinished without grants that are in set; zero: it does not
	reported  map[string]bool // problems that onProblem has been told of and that still stand
	onProblem func(error)
	version   uint64 // counts the changes of set.clients
}

// clientSet is the parsed file.
type clientSet struct {
	clients []Grant
	byKey   map[[32]byte]int // index in clients
	bad     []*LineError
	// unfinished: there is no file, or an empty one, or its last line has no end, as while
	// an editor is writing it.
	unfinished bool
	err        error // the file cannot be used at all: nobody is allowed
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
	data, fi, err := a.dir.read(clientsFile, private.Trust)
	switch {
	case isMissing(err):
		return clientSet{unfinished: true}, fileState{}
	case err != nil:
		return clientSet{err: err}, fileState{}
	}
	set := parseClients(a.dir.File(clientsFile), data)
	set.unfinished = !bytes.HasSuffix(data, []byte("\n"))
	return set, stateOf(fi)
}
