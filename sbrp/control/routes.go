package control

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"culvert/sbrp/api"
	"culvert/sbrp/token"
)

// endpoint answers a request: with a value that becomes JSON (nil: 204), or an
// error (see fail).
type endpoint func(r *http.Request) (any, error)

// routes are the endpoints by path and method.
func (s *Server) routes() map[string]map[string]endpoint {
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	return map[string]map[string]endpoint{
		api.PathDevices:                {post: s.enroll},
		api.PathDaemons:                {get: s.listDaemons},
		api.PathRegister:               {post: s.register},
		api.PathPresence:               {post: s.presence},
		api.PathSessions:               {post: s.createSession},
		api.PathPairings:               {post: s.createPairing},
		api.PathRedeem:                 {post: s.redeemPairing},
		api.PathPairings + "/{lookup}": {del: s.cancelPairing},
		api.PathKeys:                   {get: s.listKeys, post: s.createKey},
		api.PathKeys + "/{id}":         {del: s.revokeKey},
		token.JWKSPath:                 {get: s.jwks},
		"/healthz":                     {get: s.healthz},
		"/readyz":                      {get: s.readyz},
	}
}

// Handler serves /api/…, /.well-known/jwks.json, /healthz and /readyz; every other
// path is a 404 in JSON. It bounds bodies, not time: the http.Server around it
// sets the timeouts.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, methods := range s.routes() {
		mux.Handle(pattern, s.methods(methods))
	}
	mux.Handle("/", s.answer(func(*http.Request) (any, error) {
		return nil, refuse(http.StatusNotFound, api.CodeNotFound, "there is no such endpoint")
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would answer an unclean path with a redirect in HTML.
		if r.Method == http.MethodConnect || r.URL.Path != cleanPath(r.URL.Path) {
			s.fail(w, r, refuse(http.StatusNotFound, api.CodeNotFound, "there is no such endpoint"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func cleanPath(p string) string {
	c := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && c != "/" {
		c += "/"
	}
	return c
}

// methods picks the endpoint by method; HEAD is GET without its body.
func (s *Server) methods(m map[string]endpoint) http.Handler {
	handlers := map[string]http.Handler{}
	var allow []string
	for method, e := range m {
		handlers[method] = s.answer(e)
		allow = append(allow, method)
		if method == http.MethodGet {
			handlers[http.MethodHead] = handlers[method]
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ok := handlers[r.Method]
		if !ok {
			w.Header().Set("Allow", strings.Join(allow, ", "))
			s.fail(w, r, refuse(http.StatusMethodNotAllowed, api.CodeMethodNotAllowed, "use %s", strings.Join(allow, " or ")))
			return
		}
		h.ServeHTTP(w, r)
	})
}
