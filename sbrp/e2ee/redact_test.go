package e2ee

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"culvert/sbrp"
)

// verbs are all of fmt's, with the flags that change what is printed, and one that does not exist.
var verbs = []string{
	"%v", "%+v", "%#v", "% v", "%s", "%q", "%+q", "%#q", "%x", "%X", "% x", "%#x", "%d", "%+d", "%o", "%O", "%b", "%c", "%U", "%#U", "%e", "%E", "%f", "%F", "%g",
	"%G", "%t", "%w", "%z", "%10v", "%-100v", "%.3v", "%.100s",
}

// pointerVerbs print an address or a type's name; they need not say [redacted], only nothing secret.
var pointerVerbs = []string{"%p", "%#p", "%T"}

// secrets is every form in which a test's secret bytes might show.
type secrets []string

func newSecrets(all ...[]byte) secrets {
	var s secrets
	for _, b := range all {
		b = b[:8] // a part is bad enough
		s = append(s, string(b), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), base64.StdEncoding.EncodeToString(b)[:10],
			base64.URLEncoding.EncodeToString(b)[:10])
		for _, sep := range []string{" ", ", ", ","} {
			for _, format := range []string{"%d", "%x", "%X", "0x%x", "%#02x", "0x%02x", "%o", "%b", "%c", "%U", "%q"} {
				parts := make([]string, 4)
				for i := range parts {
					parts[i] = fmt.Sprintf(format, b[i])
				}
				s = append(s, strings.Join(parts, sep))
			}
		}
	}
	return s
}

func (s secrets) in(printed string) bool {
	return slices.ContainsFunc(s, func(secret string) bool { return strings.Contains(printed, secret) })
}

func (s secrets) check(t *testing.T, what, printed string) {
	t.Helper()
	if s.in(printed) {
		t.Errorf("%s prints a secret: %.300q", what, printed)
	}
}

// holder has each type as a struct's field: exported, where fmt may call methods, and not, where it may not.
type holder struct {
	Exported any
	hidden   any
}

type identityHolder struct {
	Value   Identity
	Pointer *Identity
	value   Identity
	pointer *Identity
}

type sessionHolder struct {
	Value   Session
	Pointer *Session
	value   Session
	sealer  Sealer
	opener  Opener
	started Initiator
}

func TestSecretsPrintRedacted(t *testing.T) {
	seed := []byte("\xd1\xe2\xf3seed of an identity, 32 by")
	seed = append(seed, make([]byte, 32-len(seed))...)
	id := identity(t, seed)
	private := bytes.Repeat([]byte{0xa1, 0xb2, 0xc3, 0xd4}, 8)
	key1, key2 := bytes.Repeat([]byte{0x91, 0xa2, 0xb3, 0xc5}, 8), bytes.Repeat([]byte{0x71, 0x82, 0x93, 0xa6}, 8)
	started := newInitiator(testDaemon, id.PublicKey(), ephemeral(t, private))
	s := &Session{DaemonKey: id.PublicKey(), Sealer: newSealer(key1, clientToDaemon), Opener: newOpener(key2, daemonToClient, 64)}
	hidden := newSecrets(seed, private, key1, key2)
	for _, verb := range []string{"%v", "%#v", "%s", "%x", "%X", "% x", "%#x", "%d", "%o", "%b", "%c", "%U"} {
		if got := fmt.Sprintf(verb, key1); !hidden.in(got) {
			t.Fatalf("the test would not find a key printed with %s: %s", verb, got)
		}
	}

	direct := map[string]any{
		"*Identity": id, "Identity": *id, "**Identity": &id, "*Initiator": started, "Initiator": *started,
		"*Session": s, "Session": *s, "*Sealer": s.Sealer, "Sealer": *s.Sealer, "*Opener": s.Opener, "Opener": *s.Opener,
	}
	for name, v := range direct {
		for _, verb := range verbs {
			got := fmt.Sprintf(verb, v)
			if strings.HasPrefix(name, "**") || verb == "%w" {
				hidden.check(t, name+" "+verb, got) // fmt goes no further than an address, or says that %w is wrong
			} else if got != redacted {
				t.Errorf("%s %s: got %q, want %q", name, verb, got, redacted)
			}
		}
		for _, verb := range pointerVerbs {
			hidden.check(t, name+" "+verb, fmt.Sprintf(verb, v))
		}
		for _, got := range []string{fmt.Sprint(v), fmt.Sprintln(v), fmt.Errorf("wrap: %v", v).Error(), errors.New(fmt.Sprint("x ", v)).Error()} {
			hidden.check(t, name, got)
		}
	}
	maps.Copy(direct, map[string]any{
		"identities": identityHolder{*id, id, *id, id}, "sessions": sessionHolder{*s, s, *s, *s.Sealer, *s.Opener, *started},
	})
	for name, v := range direct {
		for shape, nested := range map[string]any{
			"itself": v, "struct": holder{v, v}, "struct pointer": &holder{v, v}, "slice": []any{v}, "map": map[string]any{"k": v}, "array": [1]any{v},
			"slice of structs": []holder{{v, v}}, "nested": holder{holder{v, v}, &holder{v, v}},
		} {
			for _, verb := range append(verbs, pointerVerbs...) {
				hidden.check(t, name+" in a "+shape+" "+verb, fmt.Sprintf(verb, nested))
			}
			hidden.check(t, name+" in a "+shape+" in slog", logged(nested))
			if b, err := json.Marshal(nested); err == nil {
				hidden.check(t, name+" in a "+shape+" in JSON", string(b))
			}
		}
	}
}

// logged logs v with both of slog's handlers, as a value, in a group and in With.
func logged(v any) string {
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		l := slog.New(h)
		l.Info("message", "key", v, slog.Group("group", "key", v))
		l.With("with", v).WithGroup("g").Error("message", slog.Any("any", v))
	}
	return out.String()
}

func TestSecretsLogRedacted(t *testing.T) {
	client, _ := pair(t)
	id := GenerateIdentity()
	for _, v := range []any{id, *id, client, *client, client.Sealer, *client.Sealer, client.Opener, *client.Opener, NewInitiator("d", id.PublicKey()), *NewInitiator("d", id.PublicKey())} {
		if got := strings.Count(logged(v), redacted); got != 8 {
			t.Errorf("%T: got %d times %s, want 8:\n%s", v, got, redacted, logged(v))
		}
	}
}

// Printing what is not there must not panic.
func TestNilSecretsPrint(t *testing.T) {
	for _, v := range []any{(*Identity)(nil), (*Session)(nil), (*Sealer)(nil), (*Opener)(nil), (*Initiator)(nil), Identity{}, Session{}} {
		for _, verb := range verbs {
			if got := fmt.Sprintf(verb, v); strings.Contains(got, "PANIC") {
				t.Errorf("%T %s: %s", v, verb, got)
			}
		}
		_ = logged(v)
	}
}

// Errors of this package hold no secret, whatever went wrong.
func TestErrorsHoldNoSecret(t *testing.T) {
	key := bytes.Repeat([]byte{0x91, 0xa2, 0xb3, 0xc5}, 8)
	plaintext := []byte("\xf1\xe2\xd3\xc4 a secret message")
	hidden := newSecrets(key, plaintext)
	s, o := newSealer(key, clientToDaemon), newOpener(key, clientToDaemon, 64)
	sealed, _ := s.Seal(nil, plaintext)
	_, err1 := o.Open(nil, append(bytes.Clone(sealed), 0))
	_, _ = o.Open(nil, sealed)
	_, err2 := o.Open(nil, sealed)
	_, err3 := ParseIdentity(key[:31])
	_, err4 := s.Seal(nil, append(plaintext, make([]byte, sbrp.MaxPlaintext)...))
	for _, err := range []error{err1, err2, err3, err4} {
		if err == nil {
			t.Fatal("no error")
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x"} {
			hidden.check(t, verb, fmt.Sprintf(verb, err))
		}
	}
}
