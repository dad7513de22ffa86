package config

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"culvert/config/private"
	"culvert/sbrp"
)

const pairingsFile = "pairings.json"

const (
	// maxPairings bounds the pending codes: the control plane allows ten new
	// ones a minute, each lives five minutes.
	maxPairings = 64
	// usedFor is how long it is remembered who used a code, so that the
	// command that made it and waits can say so.
	usedFor = 10 * time.Minute
)

// Pairing is a pairing code that was made here and has not been used yet: what
// is left of the code, and what its user will be granted.
type Pairing struct {
	Lookup  [16]byte // what the control plane knows of the code
	PSK     PSK      // what only the two machines know of it
	Expires time.Time
	Targets []string      // to be granted; as in Grant
	For     time.Duration // how long the grant will last; 0 = for ever
	Name    string        // the client's name; empty = what it calls itself
}

// PairingState is what has become of a pairing code.
type PairingState string

const (
	// PairingPending: it can be used.
	PairingPending PairingState = "pending"
	// PairingUsed: a client has used it, less than ten minutes ago.
	PairingUsed PairingState = "used"
	// PairingGone: it has expired, was removed, or never was.
	PairingGone PairingState = "gone"
)

// Pairings is the file pairings.json. All methods may be called concurrently,
// also by several processes: `culvert pair` adds while `culvert expose` takes.
type Pairings struct {
	dir *Dir
	now func() time.Time
}

// pairings is the file's content.
type pairings struct {
	pending []Pairing
	used    []usedPairing
}

// usedPairing remembers who used a code. The secret is gone.
type usedPairing struct {
	lookup [16]byte
	by     sbrp.PublicKey
	at     time.Time
}

// Pairings returns the pending pairing codes of this state directory. It reads
// nothing yet.
func (d *Dir) Pairings() *Pairings { return &Pairings{dir: d, now: time.Now} }

// Add stores a pending pairing. Expired ones are removed by the way.
func (p *Pairings) Add(pair Pairing) error {
	pair.Targets = slices.Clone(pair.Targets)
	if !p.now().Before(pair.Expires) {
		return errors.New("add pairing: it has expired already")
	}
	if err := pair.check(); err != nil {
		return fmt.Errorf("add pairing: %w", err)
	}
	return p.edit(func(all *pairings) error {
		if len(all.pending) >= maxPairings {
			return fmt.Errorf("add pairing: %d codes are pending already: wait until some have expired", maxPairings)
		}
		if all.find(pair.Lookup) >= 0 {
			return errors.New("add pairing: this code is pending already")
		}
		all.pending = append(all.pending, pair)
		return nil
	})
}

// List returns the pairings that can be used now.
func (p *Pairings) List() ([]Pairing, error) {
	all, err := p.load()
	return all.pending, err
}

// Take uses up the pairing that match accepts and returns it: exactly one of
// all callers in all processes gets it. The client's key is remembered for
// State. ErrNoPairing: match accepted none of those that can be used. match
// runs under the directory's lock, so it must be quick.
func (p *Pairings) Take(match func(Pairing) bool, client [32]byte) (taken Pairing, err error) {
	err = p.edit(func(all *pairings) error {
		i := slices.IndexFunc(all.pending, match)
		if i < 0 {
			return fmt.Errorf("take pairing: %w", ErrNoPairing)
		}
		taken = all.pending[i]
		all.pending = slices.Delete(all.pending, i, i+1)
		all.used = append(all.used, usedPairing{lookup: taken.Lookup, by: client, at: p.now()})
		return nil
	})
	return taken, err
}

// Remove withdraws a pairing; one that is not pending is no error.
func (p *Pairings) Remove(lookup [16]byte) error {
	return p.edit(func(all *pairings) error {
		if i := all.find(lookup); i >= 0 {
			all.pending = slices.Delete(all.pending, i, i+1)
		}
		return nil
	})
}

// Purge removes the expired pairings from the file.
func (p *Pairings) Purge() error { return p.edit(func(*pairings) error { return nil }) }

// State tells what has become of a code, and which client used it.
func (p *Pairings) State(lookup [16]byte) (PairingState, sbrp.PublicKey, error) {
	all, err := p.load()
	if err != nil {
		return PairingGone, sbrp.PublicKey{}, err
	}
	if all.find(lookup) >= 0 {
		return PairingPending, sbrp.PublicKey{}, nil
	}
	if i := slices.IndexFunc(all.used, func(u usedPairing) bool { return u.lookup == lookup }); i >= 0 {
		return PairingUsed, all.used[i].by, nil
	}
	return PairingGone, sbrp.PublicKey{}, nil
}

// load reads what has not expired.
func (p *Pairings) load() (pairings, error) {
	data, err := p.dir.ReadSecret(pairingsFile)
	if isMissing(err) {
		return pairings{}, nil
	}
	if err != nil {
		return pairings{}, err
	}
	return p.parse(data)
}

// edit rewrites what has not expired, under the directory's lock.
func (p *Pairings) edit(change func(*pairings) error) error {
	return p.dir.update(pairingsFile, private.Secret, func(old []byte) ([]byte, error) {
		all, err := p.parse(old)
		if err != nil {
			return nil, err
		}
		if err := change(&all); err != nil {
			return nil, err
		}
		if old == nil && len(all.pending)+len(all.used) == 0 {
			return nil, nil
		}
		return all.format()
	})
}

// parse reads the file's content, without what has expired.
func (p *Pairings) parse(data []byte) (pairings, error) {
	if data == nil {
		return pairings{}, nil
	}
	all, err := parsePairings(data)
	if err != nil {
		return pairings{}, fmt.Errorf("read %s: %w: remove the file and make new codes", p.dir.File(pairingsFile), err)
	}
	now := p.now()
	all.pending = slices.DeleteFunc(all.pending, func(q Pairing) bool { return !now.Before(q.Expires) })
	all.used = slices.DeleteFunc(all.used, func(u usedPairing) bool { return now.Sub(u.at) >= usedFor })
	return all, nil
}

func (all *pairings) find(lookup [16]byte) int {
	return slices.IndexFunc(all.pending, func(q Pairing) bool { return q.Lookup == lookup })
}

func (p Pairing) check() error {
	if p.For < 0 {
		return errors.New("the grant's duration is negative")
	}
	if p.Name != "" {
		if err := CheckName(p.Name); err != nil {
			return err
		}
	}
	return checkTargets(p.Targets)
}
