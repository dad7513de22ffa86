package config

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
)

// FuzzParsePairings reads what stands in the file of pending codes: what is taken is written again so that it reads the
// same, and no error shows anything of what stands there, since that may be a secret.
func FuzzParsePairings(f *testing.F) {
	all := pairings{
		pending: []Pairing{{Lookup: [16]byte{1}, PSK: PSK{2}, Expires: time.Unix(1767225600, 0), Targets: []string{"web"}, For: time.Hour, Name: "phone"}},
		used:    []usedPairing{{lookup: [16]byte{3}, by: key(1), at: time.Unix(1767225600, 0)}},
	}
	good, err := all.format()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"pending":[{"lookup":"00","psk":"00"}],"used":null}`))
	f.Add([]byte(`{"pending":[],"used":[]} {}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parsePairings(data)
		if err != nil {
			for word := range bytes.FieldsFuncSeq(data, func(r rune) bool { return r == '"' || r <= ' ' }) {
				if len(word) >= 16 && strings.Contains(err.Error(), string(word)) {
					t.Errorf("the error repeats what stands in the file: %v", err)
				}
			}
			return
		}
		first, err := got.format()
		if err != nil {
			return // a year that JSON cannot have; the daemon makes none
		}
		again, err := parsePairings(first)
		if err != nil {
			t.Fatalf("%q is taken, but not as it is written again (%q): %v", data, first, err)
		}
		if second, err := again.format(); err != nil || !bytes.Equal(first, second) {
			t.Errorf("written %q, then %q, %v", first, second, err)
		}
		for _, p := range got.pending {
			if p.check() != nil {
				t.Errorf("%q: %+v is taken", data, p)
			}
		}
	})
}

// FuzzParseEnrollment reads what `culvert login` has left, perhaps edited: what is taken names a control plane and a device,
// and reads the same when it is written again.
func FuzzParseEnrollment(f *testing.F) {
	f.Add([]byte(`{"url":"https://relay.example.org","ca_file":"/etc/ca.pem","account":"a","device_id":"dev_1","daemon_id":"dmn_1","name":"n","scopes":["daemon","client"]}`))
	f.Add([]byte(`{"url":"http://user:pw@h/?q#f","device_id":"x"}`))
	f.Add([]byte(`{"url":"https://h","device_id":"x","more":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEnrollment(data)
		if err != nil {
			return
		}
		u, err := url.Parse(e.URL)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" || e.DeviceID == "" {
			t.Errorf("%q is taken as %+v", data, e)
		}
		written, err := e.format()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseEnrollment(written)
		if err != nil || !slices.Equal(again.Scopes, e.Scopes) || again.URL != e.URL || again.DeviceID != e.DeviceID || again.CAFile != e.CAFile {
			t.Errorf("%+v is read again as %+v, %v", e, again, err)
		}
	})
}

// FuzzEditClients grants and revokes in a file in which anything may stand: the client has what was granted, once; what
// every other key may do is as before, and what cannot be understood or is a comment stays.
func FuzzEditClients(f *testing.F) {
	line := func(n byte, rest string) string { return key(n).String() + " " + rest + "\n" }
	f.Add([]byte("# mine\n" + line(1, "a targets=web") + "\nbroken\n" + line(2, `b targets="*" expires=2030-01-01`)))
	f.Add([]byte(line(9, "x targets=web") + line(9, "y targets=ssh") + line(3, "new targets=db")))
	f.Add([]byte("\xef\xbb\xbf" + line(4, "new targets=web") + line(4, "new targets=web")))
	f.Fuzz(func(t *testing.T, data []byte) {
		mine := Grant{Key: key(9), Name: "new", Targets: []string{"web", "ssh"}}
		before := parseClients("f", data)
		entries, _ := parseLines("f", data, parseClient)
		ls, put := putClient(lines(data), entries, mine)
		after := parseClients("f", joinLines(ls))
		at, ok := after.byKey[mine.Key]
		if !ok || !after.clients[at].Equal(put) || !slices.Equal(put.Targets, mine.Targets) || after.clients[at].Line != put.Line {
			t.Fatalf("%q: the grant became %+v of %+v", data, put, after.clients)
		}
		sameOthers(t, before, after, mine.Key)
		if was, is := strange(data), strange(joinLines(ls)); !slices.Equal(was, is) {
			t.Errorf("lines that nobody understands were %q and are %q", was, is)
		}
	})
}

// sameOthers: every key but one has what it had.
func sameOthers(t *testing.T, before, after clientSet, but sbrp.PublicKey) {
	t.Helper()
	others := func(s clientSet) (all []Grant) {
		for _, c := range s.clients {
			if !c.Key.Equal(but) {
				all = append(all, c)
			}
		}
		return all
	}
	if !slices.EqualFunc(others(before), others(after), Grant.Equal) {
		t.Errorf("others had %+v and have %+v", others(before), others(after))
	}
}

// strange lists comments and what cannot be parsed.
func strange(data []byte) (all []string) {
	for _, l := range lines(data) {
		if _, err := parseClient(l); isComment(l) || err != nil {
			all = append(all, l)
		}
	}
	return all
}

// FuzzParseKnown reads a file of pins: no two pins answer to one name or id, and who is not among them because a line cannot
// be understood is complained about, with its line.
func FuzzParseKnown(f *testing.F) {
	a, b := daemonLine(daemon("laptop", "d_1", 1, TrustPaired)), daemonLine(daemon("d_1", "d_2", 2, TrustAccepted))
	f.Add([]byte("# mine\n" + a + "\nbroken\n"))
	f.Add([]byte(a + "\n" + b))
	f.Add([]byte(a + "\r\n" + a + "\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		pins, bad := parseKnown("f", data)
		owner := map[string]sbrp.PublicKey{}
		for _, p := range pins {
			for _, word := range []string{p.Name, p.ID} {
				if k, ok := owner[word]; ok && !k.Equal(p.Key) {
					t.Errorf("%q: %s means two keys", data, word)
				}
				owner[word] = p.Key
			}
			if p.Key.IsZero() || checkDaemon(p) != nil || findDaemon(pins, p.ID) < 0 {
				t.Errorf("%q: %+v is a pin", data, p)
			}
		}
		entries := 0
		for _, l := range lines(data) {
			if !isComment(l) {
				entries++
			}
		}
		if len(pins)+len(bad) != entries {
			t.Errorf("%q: %d lines with something, %d pins and %d complaints", data, entries, len(pins), len(bad))
		}
		for _, e := range bad {
			if e.Line < 1 || e.Msg == "" {
				t.Errorf("%q: a complaint without a place: %+v", data, e)
			}
		}
	})
}

// FuzzReadSecret reads a file that may be no key at all: what is taken is one line without white space around it, and an
// error shows nothing of it.
func FuzzReadSecret(f *testing.F) {
	complaints := []string{
		"read secret: it is empty", "read secret: more than one line: is this the right file?",
		fmt.Sprintf("read secret: more than %d bytes: is this the right file?", maxSecret),
	}
	f.Add([]byte("cvk_abc_def\n"))
	f.Add([]byte("one\ntwo"))
	f.Add(bytes.Repeat([]byte("x"), maxSecret+1))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadSecret(bytes.NewReader(data))
		text := strings.TrimSpace(string(data))
		if err != nil {
			if !slices.Contains(complaints, err.Error()) {
				t.Errorf("%q: an error of its own, which may show the secret: %v", data, err)
			}
			return
		}
		if s.Reveal() != text || text == "" || len(data) > maxSecret || strings.ContainsAny(text, "\r\n") {
			t.Errorf("%q is taken as %q", data, s.Reveal())
		}
	})
}
