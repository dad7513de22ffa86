package mux

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of the handshake records, in bytes.
const (
	maxHello   = 3 << 10
	maxWelcome = 32 << 10
	maxRefuse  = 1 << 10
	maxName    = 128
	maxPairing = 64

	signatureSize = ed25519.SignatureSize
)

// helloLabel separates the signature of HELLO from all others made with the device key.
const helloLabel = "culvert-link-v1"

// Hello is what a client says of itself on a new carrier. When Admit sees it, its signature over the carrier's transcript
// has been verified: the peer holds the private half of Key.
type Hello struct {
	Version    int
	Key        [32]byte // the client's device key, Ed25519
	Name       string   // what the client calls itself: for people
	Program    string   // its program and version: for people
	LinkID     LinkID   // link to resume, or zero
	Attempt    uint64   // counts the client's carriers, so that a late HELLO cannot displace a newer one
	Received   uint64   // what the client has received of that link
	Limit      uint64   // how far the daemon may send on a new link
	HoldTime   time.Duration
	Pairing    []byte   // proof of a pairing code, or nil
	Transcript [32]byte // of the carrier it came on
}

// TargetInfo describes one target that the client may reach.
type TargetInfo struct {
	Name string `json:"name"`
	Kind string `json:"kind,omitempty"` // tcp, unix, cidr
	Port int    `json:"port,omitempty"` // suggested local port, 0: none
}

// Welcome is what the daemon answers to a client that it admits.
type Welcome struct {
	Version  int
	LinkID   LinkID
	Resumed  bool   // the link named in HELLO goes on; else LinkID is a new one and the old is gone
	Received uint64 // what the daemon has received of the link
	Limit    uint64 // how far the client may send
	Program  string
	HoldTime time.Duration // how long both sides keep a link without a path
	Targets  []TargetInfo
	Pairing  []byte // proof of the pairing code, or nil
}

// The JSON of the handshake records. Unknown fields are ignored.
type (
	helloJSON struct {
		Version  int    `json:"version"`
		Key      []byte `json:"key"`
		Name     string `json:"name"`
		Program  string `json:"program"`
		Link     LinkID `json:"link,omitzero"`
		Attempt  uint64 `json:"attempt"`
		Received uint64 `json:"received"`
		Limit    uint64 `json:"limit"`
		Hold     int64  `json:"hold_ms"`
		Pairing  []byte `json:"pairing,omitempty"`
	}
	welcomeJSON struct {
		Version  int          `json:"version"`
		Link     LinkID       `json:"link"`
		Resumed  bool         `json:"resumed"`
		Received uint64       `json:"received"`
		Limit    uint64       `json:"limit"`
		Program  string       `json:"program"`
		Hold     int64        `json:"hold_ms"`
		Targets  []TargetInfo `json:"targets"`
		Pairing  []byte       `json:"pairing,omitempty"`
	}
	refuseJSON struct {
		Code Refusal `json:"code"`
		Text string  `json:"text"`
	}
)

// verifier is ed25519.Verify; tests of many thousand handshakes have a cheaper one.
type verifier func(key ed25519.PublicKey, msg, sig []byte) bool

// helloMessage is what the signature of a HELLO is over.
func helloMessage(transcript [32]byte, body []byte) []byte {
	m := make([]byte, 0, len(helloLabel)+len(transcript)+len(body))
	m = append(m, helloLabel...)
	m = append(m, transcript[:]...)
	return append(m, body...)
}

// appendHello appends the HELLO record, signed.
func appendHello(b []byte, h Hello, sign func([]byte) []byte) ([]byte, error) {
	body, err := json.Marshal(helloJSON{
		Version: h.Version, Key: h.Key[:], Name: h.Name, Program: h.Program, Link: h.LinkID, Attempt: h.Attempt,
		Received: h.Received, Limit: h.Limit, Hold: h.HoldTime.Milliseconds(), Pairing: h.Pairing,
	})
	if err != nil {
		return nil, fmt.Errorf("encode HELLO: %w", err)
	}
	if len(body) > maxHello {
		return nil, fmt.Errorf("encode HELLO: %d bytes, at most %d", len(body), maxHello)
	}
	sig := sign(helloMessage(h.Transcript, body))
	if len(sig) != signatureSize {
		return nil, fmt.Errorf("sign HELLO: signature of %d bytes instead of %d", len(sig), signatureSize)
	}
	b = append(b, recHello)
	b = append(b, sig...)
	return append(b, body...), nil
}

// versionOf reads the one field that HELLO and WELCOME have in every version; 0: it is not there.
func versionOf(body []byte) int {
	var j struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(body, &j) != nil {
		return 0
	}
	return j.Version
}

// parseHello takes the body of a HELLO record that came on a carrier with this transcript. In this order: size, version,
// JSON, key, signature, all other fields. What it returns is signed by its key. An error is a *RefusedError.
func parseHello(b []byte, transcript [32]byte, verify verifier) (Hello, error) {
	refuse := func(code Refusal, format string, args ...any) (Hello, error) {
		return Hello{}, &RefusedError{Code: code, Text: fmt.Sprintf(format, args...)}
	}
	if len(b) < signatureSize || len(b) > signatureSize+maxHello {
		return refuse(RefuseInvalid, "HELLO of %d bytes", len(b))
	}
	sig, body := b[:signatureSize], b[signatureSize:]
	// Before all else: in another version the other fields may be others.
	if v := versionOf(body); v != 0 && v != protocolVersion {
		return refuse(RefuseVersion, "the daemon speaks link version %d, the client %d: update the older one", protocolVersion, v)
	}
	var j helloJSON
	if err := json.Unmarshal(body, &j); err != nil || j.Version != protocolVersion {
		return refuse(RefuseInvalid, "HELLO is not the JSON it should be")
	}
	if len(j.Key) != ed25519.PublicKeySize || !verify(j.Key, helloMessage(transcript, body), sig) {
		return refuse(RefuseInvalid, "the signature of HELLO is wrong")
	}
	switch {
	case !plainText(j.Name) || !plainText(j.Program):
		return refuse(RefuseInvalid, "name or program is longer than %d bytes or not plain text", maxName)
	case len(j.Pairing) > maxPairing:
		return refuse(RefuseInvalid, "pairing proof of %d bytes, at most %d", len(j.Pairing), maxPairing)
	case j.Hold < 0 || j.Hold > maxHoldTime.Milliseconds():
		return refuse(RefuseInvalid, "hold time of %d ms", j.Hold)
	}
	h := Hello{
		Version: j.Version, Name: j.Name, Program: j.Program, LinkID: j.Link, Attempt: j.Attempt, Received: j.Received,
		Limit: j.Limit, HoldTime: time.Duration(j.Hold) * time.Millisecond, Pairing: j.Pairing, Transcript: transcript,
	}
	copy(h.Key[:], j.Key)
	return h, nil
}

// appendWelcome appends the WELCOME record of at most limit bytes; targets that do not fit are left out and counted.
func appendWelcome(b []byte, w Welcome, limit int) (msg []byte, left int, err error) {
	limit = min(limit-1, maxWelcome)
	for targets := w.Targets; ; targets = targets[:len(targets)/2] {
		body, err := json.Marshal(welcomeJSON{
			Version: w.Version, Link: w.LinkID, Resumed: w.Resumed, Received: w.Received, Limit: w.Limit, Program: w.Program,
			Hold: w.HoldTime.Milliseconds(), Targets: targets, Pairing: w.Pairing,
		})
		if err != nil {
			return nil, 0, fmt.Errorf("encode WELCOME: %w", err)
		}
		if len(body) <= limit {
			b = append(b, recWelcome)
			return append(b, body...), len(w.Targets) - len(targets), nil
		}
		if len(targets) == 0 {
			return nil, 0, fmt.Errorf("encode WELCOME: %d bytes, at most %d", len(body), limit)
		}
	}
}

// parseWelcome takes the body of a WELCOME record. One of another version is a *RefusedError, as if the daemon had said so.
func parseWelcome(b []byte) (Welcome, error) {
	if len(b) > maxWelcome {
		return Welcome{}, protocolError("WELCOME of %d bytes, at most %d", len(b), maxWelcome)
	}
	if v := versionOf(b); v != 0 && v != protocolVersion {
		return Welcome{}, &RefusedError{Code: RefuseVersion, Text: fmt.Sprintf("the client speaks link version %d, the daemon %d: update the older one", protocolVersion, v)}
	}
	var j welcomeJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return Welcome{}, protocolError("WELCOME is not the JSON it should be: %v", err)
	}
	if j.Version != protocolVersion {
		return Welcome{}, protocolError("WELCOME without a version")
	}
	if !plainText(j.Program) || len(j.Pairing) > maxPairing || j.Hold < 0 || j.Hold > maxHoldTime.Milliseconds() || j.Link.IsZero() {
		return Welcome{}, protocolError("WELCOME has a field out of its bounds")
	}
	for _, t := range j.Targets {
		if !plainText(t.Name) || !plainText(t.Kind) || t.Port < 0 || t.Port > 65535 {
			return Welcome{}, protocolError("WELCOME has a target out of its bounds")
		}
	}
	return Welcome{
		Version: j.Version, LinkID: j.Link, Resumed: j.Resumed, Received: j.Received, Limit: j.Limit, Program: j.Program,
		HoldTime: time.Duration(j.Hold) * time.Millisecond, Targets: j.Targets, Pairing: j.Pairing,
	}, nil
}

// appendRefuse appends the REFUSE record.
func appendRefuse(b []byte, e *RefusedError) []byte {
	body, err := json.Marshal(refuseJSON{e.Code, e.Text[:min(len(e.Text), maxPeerText)]})
	if err != nil || len(body) > maxRefuse {
		body = []byte(`{"code":"busy","text":""}`) // a text of the wrong kind is not worth a word
	}
	b = append(b, recRefuse)
	return append(b, body...)
}

// parseRefuse takes the body of a REFUSE record.
func parseRefuse(b []byte) error {
	var j refuseJSON
	if len(b) > maxRefuse {
		return protocolError("REFUSE of %d bytes, at most %d", len(b), maxRefuse)
	}
	if err := json.Unmarshal(b, &j); err != nil {
		return protocolError("REFUSE is not the JSON it should be: %v", err)
	}
	if len(j.Code) > maxName || !plainText(string(j.Code)) {
		return protocolError("REFUSE has a code out of its bounds")
	}
	return &RefusedError{Code: j.Code, Text: j.Text}
}

// plainText tells whether a name may be shown to people: short, and nothing that moves a cursor.
func plainText(s string) bool {
	if len(s) > maxName || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
