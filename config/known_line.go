package config

import (
	"time"

	"culvert/sbrp"
)

const knownHeader = `# Daemons that this machine knows. Managed by "culvert trust"; may be edited by hand.
#
#   NAME PUBLICKEY id=ID trust=paired|accepted|control-plane since=TIME [url=URL] [ca=FILE]
#
# A daemon that shows another key than the one here is refused. A line that
# cannot be understood pins nothing, and until it is mended no unknown daemon
# is accepted either. Values with spaces stand in double quotes.
`

// parseDaemon parses one line of known_daemons.
func parseDaemon(line string) (KnownDaemon, error) {
	words, err := splitLine(line)
	if err != nil {
		return KnownDaemon{}, err
	}
	if len(words) < 2 {
		return KnownDaemon{}, problem(0, "expected NAME PUBLICKEY id=… trust=… since=…")
	}
	d := KnownDaemon{Name: words[0].text}
	if err := CheckName(d.Name); err != nil {
		return KnownDaemon{}, problem(words[0].col, "%v", err)
	}
	if err := d.Key.UnmarshalText([]byte(words[1].text)); err != nil || d.Key.IsZero() {
		return KnownDaemon{}, problem(words[1].col, "public key is damaged: expected 43 characters of base64url")
	}
	as, err := attrs(words[2:], "id", "trust", "since", "url", "ca")
	if err != nil {
		return KnownDaemon{}, err
	}
	for _, must := range []string{"id", "trust", "since"} {
		if _, ok := as[must]; !ok {
			return KnownDaemon{}, problem(0, "%s=… is missing", must)
		}
	}
	d.ID, d.Trust = as["id"].text, Trust(as["trust"].text)
	d.ControlURL, d.CAFile = as["url"].text, as["ca"].text
	if err := sbrp.CheckDaemonID(d.ID); err != nil {
		return KnownDaemon{}, problem(as["id"].col, "%v", err)
	}
	if d.When, err = parseTime(as["since"]); err != nil {
		return KnownDaemon{}, err
	}
	if err := checkDaemon(d); err != nil {
		return KnownDaemon{}, problem(0, "%v", err)
	}
	return d, nil
}

// appendDaemon is the reverse of parseDaemon.
func appendDaemon(b []byte, d KnownDaemon) []byte {
	b = append(b, d.Name...)
	b = append(b, ' ')
	b = append(b, d.Key.String()...)
	b = appendAttr(b, "id", d.ID)
	b = appendAttr(b, "trust", string(d.Trust))
	b = appendAttr(b, "since", d.When.UTC().Format(time.RFC3339))
	if d.ControlURL != "" {
		b = appendAttr(b, "url", d.ControlURL)
	}
	if d.CAFile != "" {
		b = appendAttr(b, "ca", d.CAFile)
	}
	return b
}

// parseTime parses an RFC 3339 time; a date alone means its first moment, UTC.
func parseTime(w word) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, w.text); err == nil {
			if y := t.UTC().Year(); y < 1 || y > 9999 {
				break // would not survive being written again
			}
			return t.UTC(), nil
		}
	}
	return time.Time{}, problem(w.col, "time %s: use RFC 3339, such as 2030-01-31T12:00:00Z", clip(w.text))
}
