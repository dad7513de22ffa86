package config

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

const pairingsFile = "pairings.json"

// maxPairings bounds the pending codes: the control plane allows ten new ones
// a minute, each lives five minutes.
const maxPairings = 64

// Pairing is a pairing code that was made here and has not been used yet: what
// is left of the code, and what its user will be granted.
type Pairing struct {
	Lookup  [16]byte // what the control plane knows of the code
	PSK     PSK      // what only the two machines know of it
	Expires time.Time
	Targets []string      // to be granted; as in Client
	For     time.Duration // how long the grant will last; 0 = for ever
	Name    string        // the client's name; empty = what it calls itself
}

// pairingJSON is the form on disk; it alone spells the secret out.
type pairingJSON struct {
	Lookup  string    `json:"lookup"`
	PSK     string    `json:"psk"`
	Expires time.Time `json:"expires"`
	Targets []string  `json:"targets"`
	For     string    `json:"for,omitempty"`
	Name    string    `json:"name,omitempty"`
}

type pairingsJSON struct {
	Pairings []pairingJSON `json:"pairings"`
}

// Pairings is the file pairings.json. All methods may be called concurrently,
// also by several processes: `culvert pair` adds while `culvert expose` takes.
type Pairings struct {
	dir *Dir
	now func() time.Time
}

// Pairings returns the pending pairing codes of this state directory. It reads
// nothing yet.
func (d *Dir) Pairings() *Pairings { return &Pairings{dir: d, now: time.Now} }

// Add stores a pending pairing. Expired ones are removed by the way.
func (p *Pairings) Add(pair Pairing) error {
	pair.Targets = slices.Clone(pair.Targets)
	switch {
	case !p.now().Before(pair.Expires):
		return errors.New("add pairing: it has expired already")
	case pair.For < 0:
		return errors.New("add pairing: the grant's duration is negative")
	}
	if err := checkTargets(pair.Targets); err != nil {
		return fmt.Errorf("add pairing: %w", err)
	}
	if pair.Name != "" {
		if err := CheckName(pair.Name); err != nil {
			return fmt.Errorf("add pairing: %w", err)
		}
	}
	return p.edit(func(ps []Pairing) ([]Pairing, error) {
		if slices.ContainsFunc(ps, func(have Pairing) bool { return have.Lookup == pair.Lookup }) {
			return nil, fmt.Errorf("add pairing: %w", ErrExists)
		}
		if len(ps) >= maxPairings {
			return nil, fmt.Errorf("add pairing: %d codes are pending already: wait until some have expired", maxPairings)
		}
		return append(ps, pair), nil
	})
}

// List returns the pairings that have not expired. The file itself is not
// changed.
func (p *Pairings) List() ([]Pairing, error) {
	data, err := p.dir.ReadSecret(pairingsFile)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ps, err := p.parse(data)
	if err != nil {
		return nil, err
	}
	return p.alive(ps), nil
}

// Take removes a pairing and returns it: to exactly one caller, of all callers
// in all processes. ErrNotFound: it never was, has expired, or was taken.
func (p *Pairings) Take(lookup [16]byte) (taken Pairing, err error) {
	err = p.edit(func(ps []Pairing) ([]Pairing, error) {
		i := slices.IndexFunc(ps, func(have Pairing) bool { return have.Lookup == lookup })
		if i < 0 {
			return nil, fmt.Errorf("take pairing: %w", ErrNotFound)
		}
		taken = ps[i]
		return slices.Delete(ps, i, i+1), nil
	})
	return taken, err
}

// Purge removes the expired pairings from the file.
func (p *Pairings) Purge() error {
	return p.edit(func(ps []Pairing) ([]Pairing, error) { return ps, nil })
}

// edit rewrites the pairings that are alive, under the directory's lock.
func (p *Pairings) edit(change func([]Pairing) ([]Pairing, error)) error {
	return p.dir.update(pairingsFile, checkSecretMode, func(old []byte) ([]byte, error) {
		ps, err := p.parse(old)
		if err != nil {
			return nil, err
		}
		ps, err = change(p.alive(ps))
		if err != nil {
			return nil, err
		}
		if old == nil && len(ps) == 0 {
			return nil, nil
		}
		return formatPairings(ps)
	})
}

func (p *Pairings) alive(ps []Pairing) []Pairing {
	now := p.now()
	return slices.DeleteFunc(ps, func(have Pairing) bool { return !now.Before(have.Expires) })
}

// parse reads the file's content; nil is an empty file. Errors hold no secret.
func (p *Pairings) parse(data []byte) ([]Pairing, error) {
	if data == nil {
		return nil, nil
	}
	damaged := func(what string) error {
		return fmt.Errorf("read %s: %s: remove the file and make new codes", p.dir.File(pairingsFile), what)
	}
	var file pairingsJSON
	if err := decodeStrict(data, &file); err != nil {
		return nil, damaged("not the expected JSON") // the cause might quote a secret
	}
	ps := make([]Pairing, 0, len(file.Pairings))
	for _, j := range file.Pairings {
		pair := Pairing{Expires: j.Expires, Targets: j.Targets, Name: j.Name}
		lookup, err := hex.DecodeString(j.Lookup)
		if err != nil || len(lookup) != len(pair.Lookup) {
			return nil, damaged("a lookup is not 32 hex digits")
		}
		copy(pair.Lookup[:], lookup)
		psk, err := hex.DecodeString(j.PSK)
		if err != nil {
			return nil, damaged("a psk is not 64 hex digits")
		}
		if pair.PSK, err = NewPSK(psk); err != nil {
			return nil, damaged("a psk is not 64 hex digits")
		}
		clear(psk)
		if j.For != "" {
			if pair.For, err = time.ParseDuration(j.For); err != nil || pair.For < 0 {
				return nil, damaged("a duration is not valid")
			}
		}
		if checkTargets(pair.Targets) != nil || pair.Name != "" && CheckName(pair.Name) != nil {
			return nil, damaged("a name or target is not valid")
		}
		ps = append(ps, pair)
	}
	return ps, nil
}

func formatPairings(ps []Pairing) ([]byte, error) {
	file := pairingsJSON{Pairings: make([]pairingJSON, 0, len(ps))}
	for _, p := range ps {
		j := pairingJSON{
			Lookup:  hex.EncodeToString(p.Lookup[:]),
			PSK:     hex.EncodeToString(p.PSK.b[:]),
			Expires: p.Expires.UTC().Round(0),
			Targets: p.Targets,
			Name:    p.Name,
		}
		if p.For > 0 {
			j.For = p.For.String()
		}
		file.Pairings = append(file.Pairings, j)
	}
	data, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", pairingsFile, err)
	}
	return append(data, '\n'), nil
}
