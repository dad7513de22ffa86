package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"culvert/sbrp/e2ee"
)

func says(text string) PassphraseFunc { return func() (Secret, error) { return NewSecret(text), nil } }

func mustNotAsk(t *testing.T) PassphraseFunc {
	return func() (Secret, error) {
		t.Error("the passphrase was asked for")
		return Secret{}, errors.New("nobody to ask")
	}
}

// A passphrase is set, changed and removed; the key stays the same, and only the
// present passphrase opens it.
func TestPassphrase(t *testing.T) {
	d := openDir(t)
	d.sealWork = 4
	id, err := d.UnlockIdentity(mustNotAsk(t))
	if err != nil {
		t.Fatal(err)
	}
	file := d.File(identityFile)
	plain := readFile(t, file)
	_, seed, _ := strings.Cut(strings.TrimSpace(plain[strings.LastIndex(strings.TrimSpace(plain), "\n")+1:]), " ")
	if key, err := d.ProtectIdentity(mustNotAsk(t), says("first phrase")); err != nil || key != id.PublicKey() {
		t.Fatalf("protect: %v, %v", key, err)
	}
	sealed := readFile(t, file)
	if strings.Contains(sealed, seed) || !strings.Contains(sealed, "\n"+sealedKind+" "+id.PublicKey().String()+" ") {
		t.Errorf("the sealed file: %q", sealed)
	}
	wantKey := func(what string, ask PassphraseFunc, want error) {
		t.Helper()
		got, err := d.UnlockIdentity(ask)
		if !errors.Is(err, want) || err == nil && got.PublicKey() != id.PublicKey() {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %q does not name the file", what, err)
		}
	}
	wantKey("right", says("first phrase"), nil)
	wantKey("nobody to ask", nil, ErrPassphraseNeeded)
	wantKey("empty", says(""), ErrPassphraseWrong)
	if _, err := d.Identity(); !errors.Is(err, ErrPassphraseNeeded) {
		t.Errorf("Identity: %v", err)
	}
	if k, err := d.KeyInfo(); err != nil || !k.Protected || k.Public != id.PublicKey() {
		t.Errorf("KeyInfo: %+v, %v", k, err)
	}
	// What goes wrong loses nothing.
	boom := errors.New("boom")
	for what, try := range map[string]func() error{
		"wrong passphrase": func() error { _, err := d.ProtectIdentity(says("wrong phrase"), says("second phrase")); return err },
		"no new one": func() error {
			_, err := d.ProtectIdentity(says("first phrase"), func() (Secret, error) { return Secret{}, boom })
			return err
		},
		"too short":        func() error { _, err := d.ProtectIdentity(says("first phrase"), says("short")); return err },
		"not to be opened": func() error { _, err := d.ProtectIdentity(says("wrong phrase"), nil); return err },
	} {
		if err := try(); err == nil || readFile(t, file) != sealed {
			t.Errorf("%s: %v, and the file is %q", what, err, readFile(t, file))
		}
	}
	if err := os.MkdirAll(filepath.Join(file+".tmp", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ProtectIdentity(says("first phrase"), nil); err == nil || readFile(t, file) != sealed {
		t.Errorf("a write that fails: %v, and the file is %q", err, readFile(t, file))
	}
	if err := os.RemoveAll(file + ".tmp"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ProtectIdentity(says("first phrase"), says("second phrase")); err != nil {
		t.Fatal(err)
	}
	wantKey("the one before", says("first phrase"), ErrPassphraseWrong)
	wantKey("changed", says("second phrase"), nil)
	if _, err := d.ProtectIdentity(says("second phrase"), nil); err != nil {
		t.Fatal(err)
	}
	wantKey("removed", mustNotAsk(t), nil)
	if got := readFile(t, file); got != plain {
		t.Errorf("removed: the file is %q", got)
	}
}

// Each byte of the sealed key counts, and none of it is told.
func TestSealedDamaged(t *testing.T) {
	id := e2ee.GenerateIdentity()
	to, err := age.NewScryptRecipient("phrase")
	if err != nil {
		t.Fatal(err)
	}
	to.SetWorkFactor(1) // what is tried here is not the passphrase
	sealText := func(text string) []byte {
		var b bytes.Buffer
		w, err := age.Encrypt(&b, to)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	open := func(public fmt.Stringer, sealed []byte) (*e2ee.Identity, error) {
		k, err := parseKey(fmt.Appendf(nil, "%s %s %s\n", sealedKind, public, base64.RawURLEncoding.EncodeToString(sealed)))
		if err != nil {
			return nil, err
		}
		return k.open(says("phrase"))
	}
	good := sealText(string(formatIdentity(id)))
	if got, err := open(id.PublicKey(), good); err != nil || got.PublicKey() != id.PublicKey() {
		t.Fatalf("the key as it was: %v", err)
	}
	for at := range good {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		if bytes.Contains(bad[:min(at+4, len(bad))], []byte("scrypt ")) && bad[at] >= '0' && bad[at] <= '9' && at > 0 && good[at-1] == ' ' {
			continue // another work factor costs time, and opens nothing
		}
		if _, err := open(id.PublicKey(), bad); err == nil {
			t.Errorf("byte %d: the changed key is opened", at)
		}
		if _, err := open(id.PublicKey(), good[:at]); err == nil {
			t.Errorf("cut at %d: it is opened", at)
		}
	}
	other := e2ee.GenerateIdentity()
	for what, sealed := range map[string][]byte{
		"another key":     sealText(string(formatIdentity(other))),
		"no key":          sealText("hello"),
		"a sealed one":    sealText(string(formatSealed(id.PublicKey(), good))),
		"much":            sealText(strings.Repeat("x", 2*maxSealed)),
		"nothing":         nil,
		"somebody's file": []byte("hello"),
	} {
		if _, err := open(id.PublicKey(), sealed); err == nil || strings.Contains(err.Error(), other.PublicKey().String()) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A file that would take too much memory to open is refused.
func TestSealWorkIsBounded(t *testing.T) {
	k := storedKey{public: e2ee.GenerateIdentity().PublicKey(), sealed: fmt.Appendf(nil, "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA %d\n%s\n--- %s\n", mostSealWork+1, strings.Repeat("A", 43), strings.Repeat("A", 43))}
	if _, err := k.open(says("phrase")); err == nil || errors.Is(err, ErrPassphraseWrong) {
		t.Errorf("%v, want that the work factor is too large", err)
	}
}

// What users get has the cost that it should have.
func TestSealWork(t *testing.T) {
	d := openDir(t)
	if _, err := d.ProtectIdentity(nil, says("some phrase")); err != nil {
		t.Fatal(err)
	}
	k, err := parseKey([]byte(readFile(t, d.File(identityFile))))
	if err != nil || !bytes.Contains(k.sealed, fmt.Appendf(nil, " %d\n", sealWork)) {
		t.Errorf("%v, sealed %.80q, want work factor %d", err, k.sealed, sealWork)
	}
}
