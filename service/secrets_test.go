package service

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"culvert/config"
)

// wiretap is a proxy in front of the relay that notes every secret that passes it.
type wiretap struct {
	url string

	mu      sync.Mutex
	relay   *url.URL        // guarded by mu
	secrets map[string]bool // guarded by mu
}

var (
	jwtForm = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)
	keyForm = regexp.MustCompile(`cvk_[A-Za-z0-9]+_[A-Za-z0-9]+`)
)

func newWiretap(t *testing.T) *wiretap {
	t.Helper()
	tap := &wiretap{secrets: map[string]bool{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			tap.mu.Lock()
			r.SetURL(tap.relay)
			tap.mu.Unlock()
			r.Out.Host = r.In.Host
			tap.note(r.In.Header.Get("Authorization"))
			if r.In.Body != nil {
				b, _ := io.ReadAll(r.In.Body) // what did not come is no secret
				tap.note(string(b))
				r.Out.Body = io.NopCloser(bytes.NewReader(b))
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusSwitchingProtocols {
				return nil
			}
			b, err := io.ReadAll(r.Body)
			tap.note(string(b))
			r.Body = io.NopCloser(bytes.NewReader(b))
			return err
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	srv := httptest.NewServer(proxy)
	t.Cleanup(srv.Close)
	tap.url = srv.URL
	return tap
}

func (tap *wiretap) leadTo(addr string) {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	tap.relay = &url.URL{Scheme: "http", Host: addr}
}

// note keeps the tokens, API keys and lookups in a text.
func (tap *wiretap) note(text string) {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	for _, jwt := range jwtForm.FindAllString(text, -1) {
		tap.secrets[jwt] = true
		tap.secrets[jwt[strings.LastIndexByte(jwt, '.')+1:]] = true // the signature alone
	}
	for _, key := range keyForm.FindAllString(text, -1) {
		tap.secrets[key] = true
		tap.secrets[key[strings.LastIndexByte(key, '_')+1:]] = true
	}
	var body struct{ Lookup string }
	if json.Unmarshal([]byte(text), &body) == nil && body.Lookup != "" {
		tap.secrets[body.Lookup] = true
	}
}

// add keeps bytes in all the ways in which a log could show them.
func (tap *wiretap) add(b []byte) {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	tap.secrets[string(b)] = true
	tap.secrets[hex.EncodeToString(b)] = true
	tap.secrets[strings.ToUpper(hex.EncodeToString(b))] = true
	tap.secrets[base64.RawURLEncoding.EncodeToString(b)] = true
	tap.secrets[base64.RawStdEncoding.EncodeToString(b)] = true
	tap.secrets[strings.Trim(strings.ReplaceAll(fmt.Sprint(b), " ", ", "), "[]")] = true
	tap.secrets[strings.Trim(fmt.Sprint(b), "[]")] = true
}

// logs is where all parts of a run log, in both formats, all that there is to log.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// everything logs whatever the level.
const everything = slog.Level(-1000)

// A whole run, good and bad, with every log open to the widest: logins, pairing, sessions, a
// refused key, refused tokens, a relay that is restarted, a rotation. No token, key, code or
// byte of a connection is in any log or event.
func TestNoSecretIsLogged(t *testing.T) {
	tap, log := newWiretap(t), &logs{}
	o := &slog.HandlerOptions{Level: everything, AddSource: true}
	w := &world{t: t, dir: t.TempDir(), log: slog.New(slog.NewMultiHandler(slog.NewTextHandler(log, o), slog.NewJSONHandler(log, o)))}
	w.startRelay(func(o *RelayOptions) { o.PublicURL = tap.url })
	tap.leadTo(w.relay.Addr)
	w.login("daemon", "daemon")
	wrong := "cvk_wrong0id_" + strings.Repeat("wrongkey", 4)
	if _, err := Login(t.Context(), LoginOptions{Common: w.common("stranger"), URL: tap.url, APIKey: config.NewSecret(wrong)}); err == nil {
		t.Error("a wrong key was taken")
	}
	events := func(e Event) {
		if b, err := json.Marshal(e); err == nil && e.PairingCode == "" {
			_, _ = log.Write(b) // a buffer
		}
	}
	w.expose("daemon", events, "echo="+echoServer(t))
	code, err := MakePairing(t.Context(), PairOptions{Common: w.common("daemon")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RedeemPairing(t.Context(), RedeemOptions{Common: w.common("client"), Code: code.Code, URL: tap.url}); err != nil {
		t.Fatal(err)
	}
	f := w.forward("client", "daemon", "0:echo")
	c := dialEcho(t, f.waitFor(EventReady).Addr)
	secretBytes := "what a connection carries is nobody's business"
	echoLine(t, c, secretBytes)
	if _, err := RotateSigningKey(t.Context(), KeyStoreOptions{Common: w.common("relay")}); err != nil {
		t.Fatal(err)
	}
	badTokens(t, w.relay.Addr, tap)

	addr := w.relay.Addr
	if err := w.stopRelay(); err != nil {
		t.Fatal(err)
	}
	w.startRelay(func(o *RelayOptions) { o.PublicURL, o.Listen = tap.url, addr })
	echoLine(t, c, secretBytes)
	for _, e := range f.seen() {
		events(e)
	}
	audit, err := os.ReadFile(filepath.Join(w.dir, "relay", auditFile))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = log.Write(audit) // a buffer

	text := log.String()
	for _, want := range []string{"device enrolled", "daemon registered", "pairing redeemed", "session issued", "signing key rotated", "token refused", "link resumed"} {
		if !strings.Contains(text, want) {
			t.Errorf("the logs do not say %q: is this a whole run?", want)
		}
	}
	for secret, from := range w.secrets(tap, code, wrong, secretBytes) {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("a log holds a secret (%s): …%.200s…", from, text[max(i-150, 0):])
		}
	}
}

func (f *forwarded) seen() []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Event(nil), f.events...)
}

func echoLine(t *testing.T, c net.Conn, line string) {
	t.Helper()
	got := make([]byte, len(line))
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != line {
		t.Fatalf("echo: %q, %v", got, err)
	}
}

// badTokens knocks at the relay with tokens that it refuses, in the header and in the URL.
func badTokens(t *testing.T, addr string, tap *wiretap) {
	t.Helper()
	var used string
	tap.mu.Lock()
	for s := range tap.secrets {
		if strings.Count(s, ".") == 2 {
			used = s
		}
	}
	tap.mu.Unlock()
	for _, token := range []string{used, used[:len(used)-4] + "AAAA", "not-a-token-but-secret-all-the-same"} {
		tap.mu.Lock()
		tap.secrets[token] = true
		tap.mu.Unlock()
		for _, inURL := range []bool{true, false} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/relay", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
			if inURL {
				req.URL.RawQuery = url.Values{"token": {token}}.Encode()
			} else {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close() // only the log counts
		}
	}
}

// secrets are all that are in play, each with where it comes from.
func (w *world) secrets(tap *wiretap, code PairingCode, more ...string) map[string]string {
	w.t.Helper()
	all := map[string]string{code.Code: "pairing code", strings.ReplaceAll(code.Code, "-", ""): "pairing code"}
	for _, s := range more {
		all[s] = "the test"
	}
	keys := &wiretap{secrets: map[string]bool{}}
	parsed, err := parsePairCode(code.Code)
	if err != nil {
		w.t.Fatal(err)
	}
	_, psk := parsed.derive()
	keys.add(psk[:])
	keys.add(code.lookup[:])
	for _, machine := range []string{"daemon", "client", "relay", "stranger"} {
		for _, name := range []string{"identity.key", adminKeyFile} {
			b, err := os.ReadFile(filepath.Join(w.dir, machine, name))
			if err != nil {
				continue // not every machine has both
			}
			words := strings.Fields(string(b))
			secret := words[len(words)-1]
			all[secret] = machine + "/" + name
			if seed, err := base64.RawURLEncoding.DecodeString(secret); err == nil && len(seed) == 32 {
				keys.add(seed)
			}
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "relay", relayDBFile))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(w.t.Context(), `SELECT seed FROM signing_keys`)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	seeds := 0
	for ; rows.Next(); seeds++ {
		var seed []byte
		if err := rows.Scan(&seed); err != nil {
			w.t.Fatal(err)
		}
		keys.add(seed)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	tap.mu.Lock()
	defer tap.mu.Unlock()
	if seeds < 3 || len(keys.secrets) < 50 || len(tap.secrets) < 20 {
		w.t.Errorf("only %d signing keys, %d forms of keys, %d secrets on the wire: is this a whole run?", seeds, len(keys.secrets), len(tap.secrets))
	}
	for s := range keys.secrets {
		all[s] = "a key"
	}
	for s := range tap.secrets {
		all[s] = "the wire"
	}
	return all
}
