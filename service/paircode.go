package service

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"culvert/config"
	"culvert/sbrp"
)

// A pairing code is 128 random bits as 26 letters of Crockford's base32 alphabet (no I, L,
// O or U) and a check letter, shown in groups of five. From it both machines derive
//
//	lookup = HKDF-SHA256(code, info "culvert-pair-v1 lookup", 16 bytes)  names the code at the control plane
//	psk    = HKDF-SHA256(code, info "culvert-pair-v1 psk",    32 bytes)  never leaves the two machines
//
// and prove the psk to each other inside the encrypted session with
// HMAC-SHA256(psk, role || transcript || clientKey || daemonKey), role being "client" or
// "daemon", so that neither relay nor control plane can stand in the middle of the first
// contact.
const (
	codeBytes   = 16
	codeLetters = 26 // 130 bits: the two highest are zero
	codeGroup   = 5
	crockford   = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	lookupInfo  = "culvert-pair-v1 lookup"
	pskInfo     = "culvert-pair-v1 psk"
	lookupSize  = 16
)

// The two ways in which a text is not a pairing code. A wrong check letter is a mistyped
// code and is treated like a wrong one; anything else is not a code at all.
var (
	errCodeForm  = errors.New("a pairing code has 27 letters and digits, such as 7K2M9-…")
	errCodeCheck = errors.New("the pairing code is mistyped: its check letter does not fit")
)

// pairSecret is what a pairing code stands for. It never prints itself.
type pairSecret struct{ raw [codeBytes]byte }

func newPairSecret() pairSecret {
	var s pairSecret
	rand.Read(s.raw[:])
	return s
}

// Format hides the secret under every verb.
func (s pairSecret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[redacted]") }

// LogValue hides it from the log.
func (s pairSecret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// code returns the text for people: 27 letters in groups of five.
func (s pairSecret) code() string {
	hi, lo := binary.BigEndian.Uint64(s.raw[:8]), binary.BigEndian.Uint64(s.raw[8:])
	var letters [codeLetters + 1]byte
	var values [codeLetters]byte
	for i := codeLetters - 1; i >= 0; i-- {
		values[i] = byte(lo & 31)
		letters[i] = crockford[values[i]]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	letters[codeLetters] = crockford[checkValue(values[:])]
	var b strings.Builder
	for i, c := range letters {
		if i > 0 && i%codeGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// parsePairCode reads a code as people type it: any case, with or without separators, and
// with O for 0 and I or L for 1. The error is errCodeForm or errCodeCheck and never holds
// the text.
func parsePairCode(text string) (pairSecret, error) {
	var values []byte
	for _, r := range strings.ToUpper(text) {
		switch r {
		case '-', ' ', '\t', '\r', '\n':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		v := strings.IndexRune(crockford, r)
		if v < 0 || len(values) > codeLetters {
			return pairSecret{}, errCodeForm
		}
		values = append(values, byte(v))
	}
	if len(values) != codeLetters+1 {
		return pairSecret{}, errCodeForm
	}
	if checkValue(values[:codeLetters]) != values[codeLetters] || values[0] > 7 {
		return pairSecret{}, errCodeCheck
	}
	var hi, lo uint64
	for _, v := range values[:codeLetters] {
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	var s pairSecret
	binary.BigEndian.PutUint64(s.raw[:8], hi)
	binary.BigEndian.PutUint64(s.raw[8:], lo)
	return s, nil
}

// checkValue evaluates the letters as a polynomial over GF(32) (x^5 + x^2 + 1) at the
// generator, which finds every single wrong letter and every swap of two neighbours.
func checkValue(values []byte) byte {
	var c byte
	for _, v := range values {
		c <<= 1
		if c&32 != 0 {
			c ^= 0b100101
		}
		c ^= v
	}
	// One more step, so that a swap of the last letter with the check letter shows too.
	c <<= 1
	if c&32 != 0 {
		c ^= 0b100101
	}
	return c
}

// derive returns lookup and psk.
func (s pairSecret) derive() (lookup [lookupSize]byte, psk config.PSK) {
	copy(lookup[:], mustHKDF(s.raw[:], lookupInfo, lookupSize))
	copy(psk[:], mustHKDF(s.raw[:], pskInfo, len(psk)))
	return lookup, psk
}

func mustHKDF(secret []byte, info string, n int) []byte {
	out, err := hkdf.Key(sha256.New, secret, nil, info, n)
	if err != nil {
		panic("service: hkdf: " + err.Error()) // only for lengths over 255 hashes
	}
	return out
}

// pairProof is what the machine in that role shows to the other.
func pairProof(psk config.PSK, role sbrp.Role, transcript [32]byte, clientKey, daemonKey sbrp.PublicKey) []byte {
	mac := hmac.New(sha256.New, psk[:])
	mac.Write([]byte(role.String()))
	mac.Write(transcript[:])
	mac.Write(clientKey[:])
	mac.Write(daemonKey[:])
	return mac.Sum(nil)
}

// checkPairProof compares in constant time.
func checkPairProof(psk config.PSK, role sbrp.Role, transcript [32]byte, clientKey, daemonKey sbrp.PublicKey, proof []byte) bool {
	return hmac.Equal(proof, pairProof(psk, role, transcript, clientKey, daemonKey))
}
