package e2ee

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"culvert/sbrp"
)

// Sealer encrypts one direction of a session. Not for concurrent use: sequence numbers are taken and frames written in the same order under the
// caller's one lock.
type Sealer struct {
	seal func(dst, nonce, plaintext, additional []byte) []byte // the AEAD's; nil once wiped. A function, because no printer sees into one (redact.go)
	dir  direction
	next uint64 // sequence number of the next message
}

// newSealer returns a Sealer with a copy of key.
func newSealer(key []byte, dir direction) *Sealer { return &Sealer{seal: newAEAD(key).Seal, dir: dir} }

// Seal appends nonce || ciphertext || tag, len(plaintext)+sbrp.MinSealed bytes, to dst and uses up one sequence number. It allocates
// nothing if dst has the room. plaintext and the appended bytes must not overlap, unless plaintext stands exactly where its ciphertext will:
// at dst[len(dst)+sbrp.NonceSize:], beyond dst's length; then it is sealed in place.
//
// Errors leave dst, plaintext and the sequence as they were: ErrExhausted once 2^64-1 messages were sealed (for good: the session must end), and an
// *sbrp.Error payload_too_large for a plaintext over sbrp.MaxPlaintext. It panics after Wipe, and on a wrong overlap.
func (s *Sealer) Seal(dst, plaintext []byte) ([]byte, error) {
	if s.seal == nil {
		panic("e2ee: Seal after Wipe")
	}
	if len(plaintext) > sbrp.MaxPlaintext {
		return dst, failed(sbrp.CodePayloadTooLarge, "plaintext of %d bytes, the limit is %d", len(plaintext), sbrp.MaxPlaintext)
	}
	if s.next == lastSequence {
		return dst, ErrExhausted
	}
	n := len(dst)
	out := slices.Grow(dst, len(plaintext)+sbrp.MinSealed)[:n+sbrp.NonceSize]
	nonce := out[n:]
	binary.BigEndian.PutUint32(nonce, uint32(s.dir))
	binary.BigEndian.PutUint64(nonce[4:], s.next)
	out = s.seal(out, nonce, plaintext, nil)
	s.next++
	return out, nil
}

// Sequence returns the sequence number of the next message, which is how many were sealed.
func (s *Sealer) Sequence() uint64 { return s.next }

// Wipe drops the key (best effort, see the package's doc). Seal panics afterwards.
func (s *Sealer) Wipe() { s.seal = nil }

// Opener decrypts one direction of a session and refuses replays. Not for concurrent use.
type Opener struct {
	open   func(dst, nonce, ciphertext, additional []byte) ([]byte, error) // the AEAD's; nil once wiped. A function, as in Sealer
	dir    direction                                                       // the peer's
	window *Window
}

// newOpener returns an Opener with a copy of key and a replay window of this size.
func newOpener(key []byte, dir direction, window int) *Opener {
	return &Opener{open: newAEAD(key).Open, dir: dir, window: NewWindow(window)}
}

// Open appends the plaintext of a sealed message to dst. It allocates nothing if dst has the room. dst and sealed must not overlap, unless dst is
// sealed[sbrp.NonceSize:sbrp.NonceSize], which opens in place. The checks and their order are those of section 4:
//
//  1. at least sbrp.MinSealed bytes: decrypt_failed
//  2. the direction is the peer's: decrypt_failed
//  3. the sequence number fits the replay window: sequence_error
//  4. the tag is good: decrypt_failed
//  5. only now the window is moved
//
// So a refused message, forged, replayed or damaged, changes nothing: the next genuine one opens. Errors are *sbrp.Error, with a nil slice; the room behind dst
// that a plaintext would have taken may then hold anything but plaintext, and in place the message is lost. It panics after Wipe, and on a wrong overlap.
func (o *Opener) Open(dst, sealed []byte) ([]byte, error) {
	if o.open == nil {
		panic("e2ee: Open after Wipe")
	}
	if len(sealed) < sbrp.MinSealed {
		return nil, failed(sbrp.CodeDecryptFailed, "message of %d bytes, a sealed one has at least %d", len(sealed), sbrp.MinSealed)
	}
	nonce := sealed[:sbrp.NonceSize]
	if d := direction(binary.BigEndian.Uint32(nonce)); d != o.dir {
		return nil, failed(sbrp.CodeDecryptFailed, "direction %d, want %d (%v)", uint32(d), uint32(o.dir), o.dir)
	}
	seq := binary.BigEndian.Uint64(nonce[4:])
	if !o.window.Check(seq) {
		return nil, failed(sbrp.CodeSequenceError, "sequence number %d is replayed, or older than the window of %d", seq, o.window.Size())
	}
	out, err := o.open(dst, nonce, sealed[sbrp.NonceSize:], nil)
	if err != nil {
		return nil, failed(sbrp.CodeDecryptFailed, "message %d does not authenticate", seq)
	}
	o.window.Mark(seq)
	return out, nil
}

// Highest returns the highest sequence number opened, and false if nothing was.
func (o *Opener) Highest() (uint64, bool) { return o.window.Highest() }

// Wipe drops the key (best effort, see the package's doc). Open panics afterwards.
func (o *Opener) Wipe() { o.open = nil }

func newAEAD(key []byte) cipher.AEAD {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic(fmt.Sprintf("e2ee: traffic key of %d bytes", len(key))) // okm is cut at fixed borders
	}
	return aead
}
