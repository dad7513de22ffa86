package e2ee

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"math/big"
	"strings"
	"testing"

	"culvert/sbrp"
)

func TestIdentityRoundTrip(t *testing.T) {
	id := GenerateIdentity()
	back := identity(t, id.Seed())
	if back.PublicKey() != id.PublicKey() || id.PublicKey().IsZero() {
		t.Errorf("got %v, want %v", back.PublicKey(), id.PublicKey())
	}
	if GenerateIdentity().PublicKey() == id.PublicKey() {
		t.Error("two identities are the same")
	}
	seed := id.Seed()
	clear(seed)
	if back := identity(t, id.Seed()); back.PublicKey() != id.PublicKey() {
		t.Error("wiping the seed's copy changed the identity")
	}
	seed = id.Seed()
	parsed := identity(t, seed)
	clear(seed)
	if got := parsed.SignMessage([]byte("label and message")); !ed25519.Verify(id.Public().(ed25519.PublicKey), []byte("label and message"), got) {
		t.Error("wiping the parsed seed changed the identity")
	}
}

func TestParseIdentityErrors(t *testing.T) {
	for _, seed := range [][]byte{nil, make([]byte, 31), make([]byte, 32), bytes.Repeat([]byte{7}, 33), bytes.Repeat([]byte{7}, 64)} {
		id, err := ParseIdentity(seed)
		if err == nil || id != nil {
			t.Errorf("%d bytes: no error", len(seed))
		} else if strings.Contains(err.Error(), "7 7") || strings.Contains(err.Error(), "0707") {
			t.Errorf("the error repeats the seed: %v", err)
		}
	}
}

func TestIdentitySigns(t *testing.T) {
	id := GenerateIdentity()
	var signer crypto.Signer = id
	public, ok := signer.Public().(ed25519.PublicKey)
	if !ok || sbrp.PublicKey(public) != id.PublicKey() {
		t.Fatalf("Public: got %T %v", signer.Public(), signer.Public())
	}
	msg := []byte("culvert-link-v1 and the rest")
	for name, opts := range map[string]crypto.SignerOpts{"nil": nil, "crypto.Hash(0)": crypto.Hash(0), "Options": &ed25519.Options{}} {
		sig, err := signer.Sign(nil, msg, opts)
		if err != nil || !bytes.Equal(sig, id.SignMessage(msg)) || !ed25519.Verify(public, msg, sig) {
			t.Errorf("Sign with %s: %x, %v", name, sig, err)
		}
	}
	for name, opts := range map[string]crypto.SignerOpts{
		"SHA256": crypto.SHA256, "SHA512": crypto.SHA512, "ph": &ed25519.Options{Hash: crypto.SHA512}, "ctx": &ed25519.Options{Context: "x"},
	} {
		if sig, err := signer.Sign(nil, msg, opts); err == nil {
			t.Errorf("Sign with %s: got %x, want an error", name, sig)
		}
	}
}

// A peer who chooses what an identity signs cannot have a handshake signed.
func TestIdentitySignsNoHandshakeForOthers(t *testing.T) {
	id := GenerateIdentity()
	payload := hello{testDaemon, make([]byte, 32), make([]byte, 32)}.sigPayload()
	if sig, err := id.Sign(nil, payload[:], crypto.Hash(0)); err == nil {
		t.Errorf("Sign: got %x, want an error", sig)
	}
	mustPanic(t, "32 bytes", func() { id.SignMessage(payload[:]) })
}

// The list of small-order keys is the curve's whole torsion group: eight points, each of which eight times is the neutral element; and every
// encoding of theirs that has a y of 255 bits.
func TestWeakIdentityListIsComplete(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	mod := func(x *big.Int) *big.Int { return x.Mod(x, p) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	one := big.NewInt(1)
	inv := func(a *big.Int) *big.Int { return new(big.Int).ModInverse(a, p) }
	d := mod(new(big.Int).Neg(mul(big.NewInt(121665), inv(big.NewInt(121666)))))
	type point struct{ x, y *big.Int }
	double := func(q point) point { // -x²+y² = 1+dx²y²
		k := mul(d, mul(mul(q.x, q.x), mul(q.y, q.y)))
		x := mul(mul(big.NewInt(2), mul(q.x, q.y)), inv(mod(new(big.Int).Add(one, k))))
		y := mul(mod(new(big.Int).Add(mul(q.y, q.y), mul(q.x, q.x))), inv(mod(new(big.Int).Sub(one, k))))
		return point{x, y}
	}
	points := map[string]bool{}
	encodings := map[sbrp.PublicKey]bool{}
	for _, enc := range smallOrder {
		be := bytes.Clone(enc[:])
		for i, j := 0, len(be)-1; i < j; i, j = i+1, j-1 {
			be[i], be[j] = be[j], be[i]
		}
		y := mod(new(big.Int).SetBytes(be))
		x2 := mul(mod(new(big.Int).Sub(mul(y, y), one)), inv(mod(new(big.Int).Add(mul(d, mul(y, y)), one))))
		x := new(big.Int).ModSqrt(x2, p)
		if x == nil {
			t.Fatalf("%x is on no point", enc)
		}
		for _, q := range []point{{x, y}, {mod(new(big.Int).Neg(x)), y}} {
			points[q.x.String()+" "+q.y.String()] = true
			e := double(double(double(q)))
			if e.x.Sign() != 0 || e.y.Cmp(one) != 0 {
				t.Errorf("%x is not of small order", enc)
			}
		}
		for v := new(big.Int).Set(y); v.BitLen() <= 255; v.Add(v, p) { // every y of 255 bits that means the same
			var k sbrp.PublicKey
			v.FillBytes(k[:])
			for i, j := 0, len(k)-1; i < j; i, j = i+1, j-1 {
				k[i], k[j] = k[j], k[i]
			}
			encodings[k] = true
			signed := k
			signed[31] |= 0x80
			if !weakIdentity(k) || !weakIdentity(signed) {
				t.Errorf("%x is not refused", k)
			}
		}
	}
	if len(points) != 8 || len(encodings) != len(smallOrder) {
		t.Errorf("got %d points, %d encodings; want 8, %d", len(points), len(encodings), len(smallOrder))
	}
	if weakIdentity(GenerateIdentity().PublicKey()) {
		t.Error("an ordinary key is refused")
	}
}

// Under a key of small order anybody can sign, so Finish refuses it whatever the signature.
func TestFinishRefusesWeakExpectedKeys(t *testing.T) {
	for _, weak := range smallOrder {
		eph := newEphemeral()
		full := make([]byte, sbrp.AcceptSize)
		copy(full, weak[:])
		copy(full[32:], newEphemeral().PublicKey().Bytes())
		full[64] = 1 // R is the neutral element, S is 0: good for the neutral key
		for _, accept := range [][]byte{full, full[32:]} {
			_, err := newInitiator(testDaemon, sbrp.PublicKey(weak), eph).Finish(accept)
			wantCode(t, "Finish", err, "handshake_failed")
		}
	}
}
