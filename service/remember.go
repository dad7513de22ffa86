package service

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"culvert/config"
	"culvert/mux"
	"culvert/tunnel"
)

// targetsFile remembers which targets each pinned daemon has offered last, so that a shell
// can complete their names without asking anybody. It decides nothing: losing it, or
// finding nonsense in it, costs a user some typing.
const targetsFile = "targets.json"

// TargetHint is a target that a daemon has offered.
type TargetHint struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // tcp, unix or cidr
}

// KnownTargets returns the targets that a daemon offered when this machine was connected
// to it last; none if that is not known. It asks nobody.
func KnownTargets(c Common, daemon string) []TargetHint {
	dir, err := config.Open(c.StateDir)
	if err != nil {
		return nil
	}
	defer dir.Close()
	return readTargets(dir)[daemon]
}

func readTargets(dir *config.Dir) map[string][]TargetHint {
	data, err := dir.ReadSecret(targetsFile)
	if err != nil {
		return map[string][]TargetHint{}
	}
	return parseTargets(data)
}

// parseTargets reads the file. Names that no shell should see are left out.
func parseTargets(data []byte) map[string][]TargetHint {
	known := map[string][]TargetHint{}
	if json.Unmarshal(data, &known) != nil {
		return map[string][]TargetHint{}
	}
	for name, list := range known {
		known[name] = slices.DeleteFunc(list, func(t TargetHint) bool { return tunnel.CheckTargetName(t.Name) != nil })
	}
	return known
}

// remember writes down what each WELCOME offers, until ctx ends. What cannot be written is
// not worth an error.
func (c *client) remember(ctx context.Context) error {
	for {
		select {
		case <-c.offered:
			w, _ := c.link.Welcome()
			if err := rememberTargets(c.m.dir, c.name, w.Targets); err != nil {
				c.m.log.Info("targets are not remembered", "daemon", c.name, "err", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// noteOffer has remember look at a new WELCOME.
func (c *client) noteOffer() {
	select {
	case c.offered <- struct{}{}:
	default: // it will look anyhow
	}
}

// rememberTargets replaces what is known of one pinned daemon, and forgets daemons that
// are pinned no more. Two processes that do so at once may lose one's news.
func rememberTargets(dir *config.Dir, nameOrID string, targets []mux.TargetInfo) error {
	pins, _, err := dir.KnownDaemons().List()
	if err != nil {
		return err
	}
	before := readTargets(dir)
	after := map[string][]TargetHint{}
	for _, pin := range pins {
		if list, ok := before[pin.Name]; ok {
			after[pin.Name] = list
		}
		if pin.Name != nameOrID && pin.ID != nameOrID {
			continue
		}
		list := []TargetHint{}
		for _, t := range targets {
			if tunnel.CheckTargetName(t.Name) == nil { // a shell will see it
				list = append(list, TargetHint{Name: t.Name, Kind: t.Kind})
			}
		}
		after[pin.Name] = list
	}
	if maps.EqualFunc(before, after, slices.Equal) {
		return nil
	}
	data, err := json.Marshal(after)
	if err != nil {
		return err
	}
	return dir.WriteSecret(targetsFile, append(data, '\n'))
}
