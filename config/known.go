package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"culvert/config/private"
	"culvert/sbrp"
)

// Trust says how a daemon's key came to be pinned. A pin never gets weaker.
type Trust string

const (
	// TrustPaired: both sides proved a pairing code to each other.
	TrustPaired Trust = "paired"
	// TrustAccepted: a person compared the fingerprint.
	TrustAccepted Trust = "accepted"
	// TrustControlPlane: the control plane's word at first use.
	TrustControlPlane Trust = "control-plane"
)

// rank orders trust; 0 is an unknown word.
func (t Trust) rank() int {
	switch t {
	case TrustControlPlane:
		return 1
	case TrustAccepted:
		return 2
	case TrustPaired:
		return 3
	default:
		return 0
	}
}

// KnownDaemon is a pinned daemon: one line of known_daemons.
type KnownDaemon struct {
	Name       string // what the user calls it; unique in the file
	ID         string // the daemon's id at its control plane; unique in the file
	Key        sbrp.PublicKey
	Trust      Trust
	When       time.Time // when it was pinned; whole seconds
	ControlURL string    // control plane to ask for a session; empty = the one that this device is enrolled at
	CAFile     string    // private CA of that control plane and its relay; empty = the system's
	Line       int       // where it stands in the file; set by List and Lookup
}

// KnownDaemons is the file known_daemons. All methods may be called
// concurrently, also by several processes. Get it from Dir.KnownDaemons.
type KnownDaemons struct{ dir *Dir }

const knownFile = "known_daemons"

// KnownDaemons returns the pins of this state directory. It reads nothing yet.
func (d *Dir) KnownDaemons() *KnownDaemons { return &KnownDaemons{dir: d} }

// List returns the pinned daemons in the file's order, and the lines that
// cannot be understood.
func (k *KnownDaemons) List() ([]KnownDaemon, []*LineError, error) {
	data, _, err := k.dir.read(knownFile, private.Trust)
	if isMissing(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	ds, bad := parseKnown(k.dir.File(knownFile), data)
	return ds, bad, nil
}

// Lookup finds a daemon by name, or else by id. ErrNotFound means that it is
// not pinned, and nothing else: when the file holds a line that cannot be
// understood, which might be this daemon's, the result is that *LineError, so
// that damage never makes a pinned daemon look new.
func (k *KnownDaemons) Lookup(nameOrID string) (KnownDaemon, error) {
	ds, bad, err := k.List()
	if err != nil {
		return KnownDaemon{}, err
	}
	if i := findDaemon(ds, nameOrID); i >= 0 {
		return ds[i], nil
	}
	if len(bad) > 0 {
		return KnownDaemon{}, fmt.Errorf("look up daemon %q: %w: mend or remove that line", nameOrID, bad[0])
	}
	return KnownDaemon{}, fmt.Errorf("look up daemon %q: %w", nameOrID, ErrNotFound)
}

// Check compares a key that a daemon showed with the pin of that name or id:
// nil, *KeyChangedError, or ErrNotFound and the other errors of Lookup.
func (k *KnownDaemons) Check(nameOrID string, key sbrp.PublicKey) error {
	d, err := k.Lookup(nameOrID)
	if err != nil {
		return err
	}
	if !d.Key.Equal(key) {
		return &KeyChangedError{Name: d.Name, ID: d.ID, Pinned: d.Key, Got: key}
	}
	return nil
}

// Add pins a daemon. A daemon with the same name or id must have the same key,
// else it is a *KeyChangedError and nothing is written. One with the same id is
// updated in place (name, URL, and the trust if that is stronger).
func (k *KnownDaemons) Add(d KnownDaemon) error { return k.put(d, false) }

// Replace pins a daemon whatever was pinned for its name and id before: for
// the moment when a person has said that a changed key is right.
func (k *KnownDaemons) Replace(d KnownDaemon) error { return k.put(d, true) }

func (k *KnownDaemons) put(d KnownDaemon, replace bool) error {
	if d.When.IsZero() {
		d.When = time.Now()
	}
	d.When = d.When.UTC().Truncate(time.Second)
	if err := checkDaemon(d); err != nil {
		return fmt.Errorf("pin daemon: %w", err)
	}
	return k.edit(func(ls []string, ds []KnownDaemon) ([]string, error) {
		var drop []int // lines that this daemon takes the place of
		for _, have := range ds {
			sameID, sameName := have.ID == d.ID, have.Name == d.Name
			switch {
			case have.Name == d.ID || have.ID == d.Name:
				if !sameID || !sameName {
					return nil, fmt.Errorf("pin daemon %q: its name or id is the other of daemon %q: use another name", d.Name, have.Name)
				}
			case !sameID && !sameName:
				continue
			}
			if !replace && !have.Key.Equal(d.Key) {
				return nil, &KeyChangedError{Name: have.Name, ID: have.ID, Pinned: have.Key, Got: d.Key}
			}
			if have.Key.Equal(d.Key) && have.Trust.rank() >= d.Trust.rank() {
				d.Trust, d.When = have.Trust, have.When
			}
			drop = append(drop, have.Line)
		}
		line := string(appendDaemon(nil, d))
		if len(drop) == 0 {
			return append(ls, line), nil
		}
		ls[drop[0]-1] = line
		return removeLines(ls, drop[1:]), nil
	})
}

// Forget removes the pin of a name or id (ErrNotFound) and returns it.
func (k *KnownDaemons) Forget(nameOrID string) (gone KnownDaemon, err error) {
	err = k.edit(func(ls []string, ds []KnownDaemon) ([]string, error) {
		i := findDaemon(ds, nameOrID)
		if i < 0 {
			return nil, fmt.Errorf("forget daemon %q: %w", nameOrID, ErrNotFound)
		}
		gone = ds[i]
		return removeLines(ls, []int{gone.Line}), nil
	})
	return gone, err
}

// edit rewrites the file under the lock. Comments and lines that cannot be
// understood stay.
func (k *KnownDaemons) edit(change func(ls []string, ds []KnownDaemon) ([]string, error)) error {
	return k.dir.update(knownFile, private.Trust, func(old []byte) ([]byte, error) {
		ds, _ := parseKnown(k.dir.File(knownFile), old)
		ls := lines(old)
		if old == nil {
			ls = lines([]byte(knownHeader))
		}
		ls, err := change(ls, ds)
		if err != nil {
			return nil, err
		}
		return joinLines(ls), nil
	})
}

// parseKnown parses the file. A name or id that stands twice is a problem of
// every line that has it: which of two keys is the pin is nothing to guess.
func parseKnown(file string, data []byte) ([]KnownDaemon, []*LineError) {
	good, bad := parseLines(file, data, parseDaemon)
	count := make(map[string]int, 2*len(good))
	for _, e := range good {
		count[e.value.Name]++
		if e.value.ID != e.value.Name {
			count[e.value.ID]++
		}
	}
	ds := make([]KnownDaemon, 0, len(good))
	for _, e := range good {
		if count[e.value.Name] > 1 || count[e.value.ID] > 1 {
			bad = append(bad, &LineError{File: file, Line: e.line, Msg: fmt.Sprintf("name or id of daemon %q stands on more than one line: keep one of them", e.value.Name)})
			continue
		}
		e.value.Line = e.line
		ds = append(ds, e.value)
	}
	sortProblems(bad)
	return ds, bad
}

func findDaemon(ds []KnownDaemon, nameOrID string) int {
	if i := slices.IndexFunc(ds, func(d KnownDaemon) bool { return d.Name == nameOrID }); i >= 0 {
		return i
	}
	return slices.IndexFunc(ds, func(d KnownDaemon) bool { return d.ID == nameOrID })
}

// removeLines removes lines by their numbers, which count from 1.
func removeLines(ls []string, drop []int) []string {
	out := ls[:0:0]
	for i, l := range ls {
		if !slices.Contains(drop, i+1) {
			out = append(out, l)
		}
	}
	return out
}

func sortProblems(bad []*LineError) {
	slices.SortStableFunc(bad, func(a, b *LineError) int { return a.Line - b.Line })
}

// checkDaemon is what every entry of the file fulfils.
func checkDaemon(d KnownDaemon) error {
	if err := CheckName(d.Name); err != nil {
		return err
	}
	if err := sbrp.CheckDaemonID(d.ID); err != nil {
		return err
	}
	switch {
	case d.Key.IsZero():
		return errors.New("public key is missing")
	case d.Trust.rank() == 0:
		return fmt.Errorf("trust %s: use %s, %s or %s", clip(string(d.Trust)), TrustPaired, TrustAccepted, TrustControlPlane)
	}
	for _, s := range []string{d.ControlURL, d.CAFile} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%s holds a control character", clip(s))
		}
	}
	return nil
}
