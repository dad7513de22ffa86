package config

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"culvert/sbrp"
)

// pairingsJSON is the form on disk. It alone spells the secrets out.
type pairingsJSON struct {
	Pending []pendingJSON `json:"pending"`
	Used    []usedJSON    `json:"used"`
}

type pendingJSON struct {
	Lookup  string    `json:"lookup"` // hex
	PSK     string    `json:"psk"`    // hex
	Expires time.Time `json:"expires"`
	Targets []string  `json:"targets"`
	For     string    `json:"for,omitempty"`
	Name    string    `json:"name,omitempty"`
}

type usedJSON struct {
	Lookup string         `json:"lookup"` // hex
	Client sbrp.PublicKey `json:"client"`
	At     time.Time      `json:"at"`
}

// parsePairings reads the file. Errors say which entry is damaged and never
// hold a part of it.
func parsePairings(data []byte) (pairings, error) {
	var file pairingsJSON
	if err := decodeStrict(data, &file); err != nil {
		return pairings{}, errors.New("not the expected JSON, or that of a newer culvert") // the cause might quote a secret
	}
	var all pairings
	for i, j := range file.Pending {
		p := Pairing{Expires: j.Expires, Targets: j.Targets, Name: j.Name}
		damaged := func(what string) error { return fmt.Errorf("pending code %d: %s is damaged", i+1, what) }
		if !decodeHex(p.Lookup[:], j.Lookup) {
			return pairings{}, damaged("lookup")
		}
		if !decodeHex(p.PSK[:], j.PSK) {
			return pairings{}, damaged("psk")
		}
		if j.For != "" {
			var err error
			if p.For, err = time.ParseDuration(j.For); err != nil {
				return pairings{}, damaged("for")
			}
		}
		if p.check() != nil {
			return pairings{}, damaged("name, targets or for")
		}
		all.pending = append(all.pending, p)
	}
	for i, j := range file.Used {
		u := usedPairing{by: j.Client, at: j.At}
		if !decodeHex(u.lookup[:], j.Lookup) {
			return pairings{}, fmt.Errorf("used code %d: lookup is damaged", i+1)
		}
		all.used = append(all.used, u)
	}
	return all, nil
}

// format is the reverse of parsePairings.
func (all *pairings) format() ([]byte, error) {
	file := pairingsJSON{Pending: []pendingJSON{}, Used: []usedJSON{}}
	for _, p := range all.pending {
		j := pendingJSON{
			Lookup:  hex.EncodeToString(p.Lookup[:]),
			PSK:     hex.EncodeToString(p.PSK[:]),
			Expires: p.Expires.UTC().Round(0),
			Targets: p.Targets,
			Name:    p.Name,
		}
		if p.For > 0 {
			j.For = p.For.String()
		}
		file.Pending = append(file.Pending, j)
	}
	for _, u := range all.used {
		file.Used = append(file.Used, usedJSON{Lookup: hex.EncodeToString(u.lookup[:]), Client: u.by, At: u.at.UTC().Round(0)})
	}
	data, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", pairingsFile, err)
	}
	return append(data, '\n'), nil
}

// decodeHex fills dst from text, which must have exactly its length.
func decodeHex(dst []byte, text string) bool {
	if len(text) != hex.EncodedLen(len(dst)) {
		return false
	}
	_, err := hex.Decode(dst, []byte(text))
	return err == nil
}
