package relay_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzRequest asks a relay for a connection with whatever path, token and version a stranger can write: the answer is a refusal
// whose JSON says why, it repeats nothing of the token, and the relay holds nothing afterwards.
func FuzzRequest(f *testing.F) {
	r := newRig(f, nil)
	f.Cleanup(r.stop)
	f.Add("GET", "/relay", "Bearer "+daemonToken("d"), "", "127.0.0.1:5")
	f.Add("GET", "/", "", clientToken("d", 7), "[::1]:5")
	f.Add("POST", "/relay", "bearer "+clientToken("d", 7), "", "")
	f.Add("GET", "/relay/../x", "Basic x", "a.b.c", "x")
	f.Fuzz(func(t *testing.T, method, path, auth, query, from string) {
		req := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: url.Values{"token": {query}}.Encode()}, Header: http.Header{}, Host: "relay", RemoteAddr: from, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		if auth != "" {
			req.Header.Set("Authorization", auth)
		}
		rec := httptest.NewRecorder()
		r.srv.ServeHTTP(rec, req.WithContext(t.Context()))
		body := rec.Body.String()
		if rec.Code < 400 || rec.Code > 499 {
			t.Errorf("%s %q, %q: %d %s", method, path, auth, rec.Code, body)
		}
		var said struct{ Code, Message string }
		if strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") && (json.Unmarshal([]byte(body), &said) != nil || said.Code == "" || said.Message == "") {
			t.Errorf("%d: %q does not say why", rec.Code, body)
		}
		for _, token := range []string{auth, query} {
			if len(token) > 40 && strings.Contains(body, token) {
				t.Errorf("the answer repeats the token: %s", body)
			}
		}
		if s := r.srv.Stats(); s.Clients != 0 || s.Daemons != 0 {
			t.Errorf("nobody has connected, and the relay counts %+v", s)
		}
	})
}
