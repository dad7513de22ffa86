package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestIdentityIsMadeOnce(t *testing.T) {
	d := openDir(t)
	first, err := d.Identity()
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if !first.PublicKey().Equal(again.PublicKey()) {
		t.Error("the second use gave another key")
	}
	fi, err := os.Stat(d.File(identityFile))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, want 0600", fi.Mode().Perm())
	}
	if text := readFile(t, d.File(identityFile)); !strings.Contains(text, "\n"+identityKind+" ") || !strings.HasPrefix(text, "#") {
		t.Errorf("text form has no header or kind: %d bytes", len(text))
	}
}

// Two processes that start at once become the same device.
func TestIdentityConcurrently(t *testing.T) {
	d := openDir(t)
	const n = 8
	keys := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		other := openAt(t, d.Path())
		wg.Go(func() {
			id, err := other.Identity()
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = id.PublicKey().String()
		})
	}
	wg.Wait()
	for i := range n {
		if keys[i] != keys[0] {
			t.Fatalf("keys differ: %v", keys)
		}
	}
}

func TestIdentityDamaged(t *testing.T) {
	seed := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("S", 32)))
	good := identityKind + " " + seed + "\n"
	tests := map[string]string{
		"empty":         "",
		"only comments": "# hello\n",
		"no kind":       seed + "\n",
		"other kind":    "culvert-device-key-v3 " + seed + "\n",
		"short":         identityKind + " " + seed[:20] + "\n",
		"long":          identityKind + " " + seed + "AAAA\n",
		"not base64":    identityKind + " " + strings.Repeat("*", 43) + "\n",
		"two keys":      good + good,
		"dirty bits":    identityKind + " " + strings.Repeat("_", 43) + "\n",
		"binary":        "\x00\x01\x02",
	}
	for name, text := range tests {
		d := openDir(t)
		writeFile(t, d.File(identityFile), text, 0o600)
		_, err := d.Identity()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if strings.Contains(err.Error(), seed[:12]) || strings.Contains(err.Error(), "***") {
			t.Errorf("%s: the error repeats the content: %v", name, err)
		}
		if !strings.Contains(err.Error(), d.File(identityFile)) {
			t.Errorf("%s: the error does not name the file: %v", name, err)
		}
		if got := readFile(t, d.File(identityFile)); got != text {
			t.Errorf("%s: the damaged file was changed", name)
		}
	}
	d := openDir(t)
	writeFile(t, d.File(identityFile), "# restored\r\n\n"+identityKind+"   "+seed+" \r\n", 0o600)
	id, err := d.Identity()
	if err != nil {
		t.Fatalf("a key with other white space: %v", err)
	}
	if s := fmt.Sprintf("%v %x %#v", id, id, id); strings.Contains(s, "53535353") || strings.Contains(s, seed[:12]) {
		t.Errorf("the identity prints %q", s)
	}
}

func identityPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no permission bits there: see doc.go
	}
	d := openDir(t)
	if _, err := d.Identity(); err != nil {
		t.Fatal(err)
	}
	chmod(t, d.File(identityFile), 0o640)
	_, err := d.Identity()
	if pe, ok := errors.AsType[*PermissionError](err); !ok || pe.Mend != "chmod 600 "+d.File(identityFile) {
		t.Errorf("group-readable key: got %v", err)
	}
}

func FuzzParseIdentity(f *testing.F) {
	f.Add([]byte(identityKind + " AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"))
	f.Add([]byte("# x\n"))
	f.Add([]byte(sealedKind + " AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA YWdl\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseKey(b)
		switch {
		case err != nil:
		case k.identity != nil:
			again, err := parseKey(formatIdentity(k.identity))
			if err != nil || !again.public.Equal(k.public) {
				t.Errorf("round trip: %v", err)
			}
		default:
			again, err := parseKey(formatSealed(k.public, k.sealed))
			if err != nil || again.identity != nil || !again.public.Equal(k.public) || !bytes.Equal(again.sealed, k.sealed) {
				t.Errorf("round trip of a sealed one: %v", err)
			}
		}
	})
}
