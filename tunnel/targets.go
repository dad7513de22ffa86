package tunnel

import (
	"fmt"
	"strings"
)

// Targets is the set of targets that a daemon exposes. It is immutable, so it
// may be shared.
type Targets struct {
	list   []Target
	byName map[string]int
}

// NewTargets makes a set. Two targets of one name are an error that shows both.
func NewTargets(ts ...Target) (*Targets, error) {
	set := &Targets{list: make([]Target, 0, len(ts)), byName: make(map[string]int, len(ts))}
	for _, t := range ts {
		if err := CheckTargetName(t.Name); err != nil {
			return nil, err
		}
		if i, ok := set.byName[t.Name]; ok {
			return nil, fmt.Errorf("two targets are named %q (%s and %s): give one of them another name, NAME=ADDRESS", t.Name, set.list[i], t)
		}
		set.byName[t.Name] = len(set.list)
		set.list = append(set.list, t)
	}
	return set, nil
}

// ParseTargets parses targets as ParseTarget does and makes a set of them.
func ParseTargets(specs ...string) (*Targets, error) {
	ts := make([]Target, 0, len(specs))
	for _, s := range specs {
		t, err := ParseTarget(s)
		if err != nil {
			return nil, err
		}
		ts = append(ts, t)
	}
	return NewTargets(ts...)
}

// Lookup finds a target by its name.
func (s *Targets) Lookup(name string) (Target, bool) {
	if s == nil {
		return Target{}, false
	}
	i, ok := s.byName[name]
	if !ok {
		return Target{}, false
	}
	return s.list[i], true
}

// List returns the targets in the order in which they were given.
func (s *Targets) List() []Target {
	if s == nil {
		return nil
	}
	return append([]Target(nil), s.list...)
}

// splitRef splits a target as it stands in a preface: NAME, or NAME/HOST:PORT.
func splitRef(ref string) (name, address string, hasAddress bool) {
	return strings.Cut(ref, "/")
}

// CheckRef tells whether s can be asked of a daemon: a target's name, or
// NAME/HOST:PORT for an address inside a network target.
func CheckRef(s string) error {
	name, address, has := splitRef(s)
	if err := CheckTargetName(name); err != nil {
		return err
	}
	if !has {
		return nil
	}
	host, port, err := splitHostPort(address)
	if err != nil {
		return err
	}
	if host == "" {
		return fmt.Errorf("%q: the host is missing", s)
	}
	_, err = parsePort(port)
	return err
}
