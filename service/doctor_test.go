package service

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"culvert/config"
	"culvert/sbrp/control"
	"culvert/sbrp/e2ee"
)

// diagnosis is what a doctor said.
type diagnosis struct {
	hops []Hop
	err  error
}

// diagnose runs a doctor, whose network adjust may change.
func diagnose(t *testing.T, o DoctorOptions, adjust func(*transport)) diagnosis {
	t.Helper()
	var d diagnosis
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	d.err = (&doctor{o: o, report: func(h Hop) { d.hops = append(d.hops, h) }, now: time.Now, adjust: adjust}).run(ctx)
	return d
}

// want checks which hop fails and how: everything before it is in order.
func (d diagnosis) want(t *testing.T, hop string, code Code, name, mend string) {
	t.Helper()
	if len(d.hops) == 0 {
		t.Fatalf("no hop was reported: %v", d.err)
	}
	for _, h := range d.hops[:len(d.hops)-1] {
		if h.Err != nil {
			t.Errorf("hop %s: %v", h.Name, h.Err)
		}
	}
	last := d.hops[len(d.hops)-1]
	if last.Name != hop || last.Err == nil {
		t.Fatalf("it ends at %s (%v), want %s; %v", last.Name, last.Err, hop, d.err)
	}
	if last.Err.Code != code || last.Err.Name != name || CodeOf(d.err) != code {
		t.Errorf("hop %s fails with %d %s, want %d %s: %v", hop, last.Err.Code, last.Err.Name, code, name, last.Err)
	}
	if !strings.Contains(last.Err.Mend, mend) || mend == "" {
		t.Errorf("hop %s: the mend is %q, want %q in it", hop, last.Err.Mend, mend)
	}
}

// enrolledAt makes a machine that is logged in at a URL, as far as it knows.
func enrolledAt(t *testing.T, url, caFile string) Common {
	t.Helper()
	c := Common{StateDir: t.TempDir(), Program: "culvert test"}
	dir, err := config.Open(c.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.SaveEnrollment(config.Enrollment{URL: url, CAFile: caFile, DeviceID: "d1"}); err != nil {
		t.Fatal(err)
	}
	return c
}

// failingResolver is a transport whose names cannot be looked up.
func failingResolver(tr *transport) {
	r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server here")
	}}
	tr.http.Transport.(*http.Transport).DialContext = (&net.Dialer{Resolver: r}).DialContext
}

// throughProxy is a transport with a proxy.
func throughProxy(proxy string) func(*transport) {
	return func(tr *transport) {
		via := func(*http.Request) (*url.URL, error) { return url.Parse(proxy) }
		tr.http.Transport.(*http.Transport).Proxy = via
		tr.dial.Proxy = via
	}
}

func TestDoctorDNS(t *testing.T) {
	c := enrolledAt(t, "https://relay.example.org", "")
	diagnose(t, DoctorOptions{Common: c}, failingResolver).want(t, HopDNS, CodeRelay, "dns", "this machine's DNS")
}

func TestDoctorRefused(t *testing.T) {
	c := enrolledAt(t, "http://"+closedPort(t), "")
	diagnose(t, DoctorOptions{Common: c}, nil).want(t, HopTCP, CodeRelay, "unreachable", "check that the relay runs")
}

// closedPort is an address on which nothing listens: the listener that had it is closed,
// and nobody gets an ephemeral port again so soon.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestDoctorConfig(t *testing.T) {
	c := Common{StateDir: t.TempDir(), Program: "culvert test"}
	diagnose(t, DoctorOptions{Common: c}, nil).want(t, HopConfig, CodeLogin, "not_logged_in", "culvert login")
	c = enrolledAt(t, "https://relay.example.org", "/does/not/exist.pem")
	diagnose(t, DoctorOptions{Common: c}, nil).want(t, HopConfig, CodeConfig, "ca_file", "PEM")
}

func TestDoctorTLSName(t *testing.T) {
	srv := newTLSServer(t, "other.example.org", time.Hour)
	c := enrolledAt(t, srv.url, srv.caFile)
	diagnose(t, DoctorOptions{Common: c}, nil).want(t, HopTLS, CodeTLS, "certificate_name", "the certificate is for other.example.org")
}

func TestDoctorTLSExpired(t *testing.T) {
	srv := newTLSServer(t, "127.0.0.1", -time.Hour)
	c := enrolledAt(t, srv.url, srv.caFile)
	diagnose(t, DoctorOptions{Common: c}, nil).want(t, HopTLS, CodeTLS, "certificate_expired", "renew it at the relay")
}

func TestDoctorTLSUnknownCA(t *testing.T) {
	srv, other := newTLSServer(t, "127.0.0.1", time.Hour), newTLSServer(t, "127.0.0.1", time.Hour)
	c := enrolledAt(t, srv.url, other.caFile)
	diagnose(t, DoctorOptions{Common: c}, nil).want(t, HopTLS, CodeTLS, "certificate_authority", "culvert login --ca-file")
}

func TestDoctorNoTLS(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	c := enrolledAt(t, "https://"+srv.Listener.Addr().String(), "")
	diagnose(t, DoctorOptions{Common: c}, nil).want(t, HopTLS, CodeTLS, "tls", "speaks no TLS")
}

func TestDoctorProxy407(t *testing.T) {
	srv := newTLSServer(t, "127.0.0.1", time.Hour)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			t.Errorf("the proxy is asked to %s", r.Method)
		}
		w.Header().Set("Proxy-Authenticate", "Basic realm=x")
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	c := enrolledAt(t, srv.url, srv.caFile)
	d := diagnose(t, DoctorOptions{Common: c}, throughProxy("http://alice:secret@"+proxy.Listener.Addr().String()))
	d.want(t, HopProxy, CodeTLS, "proxy", "http://USER:PASSWORD@HOST:PORT")
	for _, h := range d.hops {
		if strings.Contains(h.Detail, "secret") || h.Err != nil && strings.Contains(h.Err.Error()+h.Err.Mend, "secret") {
			t.Errorf("the proxy's password is shown: %+v", h)
		}
	}
}

func TestDoctorProxyRefuses(t *testing.T) {
	srv := newTLSServer(t, "127.0.0.1", time.Hour)
	c := enrolledAt(t, srv.url, srv.caFile)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer proxy.Close()
	diagnose(t, DoctorOptions{Common: c}, throughProxy(proxy.URL)).want(t, HopProxy, CodeTLS, "proxy", "NO_PROXY")
	diagnose(t, DoctorOptions{Common: c}, throughProxy("http://"+closedPort(t))).want(t, HopProxy, CodeTLS, "proxy", "check HTTPS_PROXY")
}

// A proxy that lets through, and a certificate that is in order.
func TestDoctorThroughProxy(t *testing.T) {
	srv := newTLSServer(t, "127.0.0.1", time.Hour)
	var tunnels sync.WaitGroup
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		// Counted while the server still waits for this request, so before Wait.
		tunnels.Add(1)
		defer tunnels.Done()
		down, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n") // the copies notice
		for _, way := range [][2]net.Conn{{up, down}, {down, up}} {
			tunnels.Go(func() {
				_, _ = io.Copy(way[0], way[1]) // either end may close
				_ = way[0].Close()
				_ = way[1].Close()
			})
		}
	}))
	defer tunnels.Wait()
	defer proxy.Close()
	c := enrolledAt(t, srv.url, srv.caFile)
	d := diagnose(t, DoctorOptions{Common: c}, func(tr *transport) {
		throughProxy(proxy.URL)(tr)
		t.Cleanup(tr.forget)
		tr.http.Transport.(*http.Transport).DisableKeepAlives = true // so that the tunnels end
	})
	d.want(t, HopControl, CodeRelay, "unexpected_response", "check the URL")
	for hop, want := range map[string]string{HopProxy: proxy.URL, HopTCP: "through the proxy", HopTLS: "certificate by test CA until"} {
		i := slices.IndexFunc(d.hops, func(h Hop) bool { return h.Name == hop })
		if i < 0 || !strings.Contains(d.hops[i].Detail, want) {
			t.Errorf("hop %s says %+v, want %q", hop, d.hops, want)
		}
	}
}

// A web page in place of the control plane, and of the relay's 101.
func TestDoctorCaptivePortal(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html>Welcome to Hotel Wi-Fi</html>") // the client may be gone
	}))
	defer page.Close()
	c := enrolledAt(t, page.URL, "")
	diagnose(t, DoctorOptions{Common: c}, nil).want(t, HopControl, CodeRelay, "captive_portal", "log in to this network")

	w := newFrontedWorld(t)
	d := diagnose(t, DoctorOptions{Common: w.common("client"), Daemon: "daemon"}, nil)
	if d.err != nil {
		t.Fatalf("through the front: %v", d.err)
	}
	w.portal.Store(true)
	d = diagnose(t, DoctorOptions{Common: w.common("client"), Daemon: "daemon"}, nil)
	d.want(t, HopWebSocket, CodeRelay, "captive_portal", "log in to this network")
}

func TestDoctorNotOurs(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	c := enrolledAt(t, srv.URL, "")
	diagnose(t, DoctorOptions{Common: c}, nil).want(t, HopControl, CodeRelay, "unexpected_response", "check the URL")
}

// The real control plane, whose clock is set wrong after the login.
func TestDoctorClockSkew(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead of": -10 * time.Minute, "behind": 10 * time.Minute} {
		store, err := control.OpenStore(t.Context(), "sqlite:"+t.TempDir()+"/relay.db")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		var handler atomic.Pointer[http.Handler]
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler.Load()).ServeHTTP(w, r) }))
		defer srv.Close()
		now := func() time.Time { return time.Now().Add(off) }
		plane, err := control.New(control.Config{
			Store: store, PublicURL: srv.URL, Now: now,
			RelayURL: func() string { return srv.URL }, Online: func(string) bool { return false },
		})
		if err != nil {
			t.Fatal(err)
		}
		handler.Store(new(http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", now().UTC().Format(http.TimeFormat)) // net/http would take the real clock
			plane.Handler().ServeHTTP(w, r)
		}))))
		d := diagnose(t, DoctorOptions{Common: enrolledAt(t, srv.URL, "")}, nil)
		d.want(t, HopControl, CodeLogin, "clock_skew", "set this machine's clock")
		if !strings.Contains(d.err.Error(), name) || !strings.Contains(d.err.Error(), "m") {
			t.Errorf("%v: %v, want %q in it", off, d.err, name)
		}
	}
}

// pairedWorld is a world with an echo target and one that refuses.
func pairedWorld(t *testing.T) (w *world, stopDaemon func() error) {
	t.Helper()
	w = newWorld(t)
	w.login("daemon", "daemon")
	stop := w.expose("daemon", nil, "echo="+echoServer(t), "down="+closedPort(t))
	w.pair("daemon", "client")
	return w, stop
}

func TestDoctorWell(t *testing.T) {
	w, _ := pairedWorld(t)
	d := diagnose(t, DoctorOptions{Common: w.common("client"), Daemon: "daemon", Target: "echo"}, nil)
	if d.err != nil {
		t.Fatal(d.err)
	}
	var names []string
	for _, h := range d.hops {
		names = append(names, h.Name)
	}
	want := []string{HopConfig, HopDNS, HopProxy, HopTCP, HopTLS, HopControl, HopToken, HopWebSocket, HopRelay, HopDaemon, HopIdentity, HopAccess, HopTarget}
	if got := strings.Join(names, ", "); got != strings.Join(want, ", ") {
		t.Errorf("hops %s, want %s", got, strings.Join(want, ", "))
	}
}

// A key that the control plane does not know.
func TestDoctorUnknownKey(t *testing.T) {
	w := newWorld(t)
	c := enrolledAt(t, w.relay.URL, "")
	diagnose(t, DoctorOptions{Common: c}, nil).want(t, HopControl, CodeLogin, "unauthorized", "culvert login "+w.relay.URL)
}

func TestDoctorUnknownDaemon(t *testing.T) {
	w := newWorld(t)
	w.login("client", "client")
	d := diagnose(t, DoctorOptions{Common: w.common("client"), Daemon: "nobody"}, nil)
	d.want(t, HopControl, CodeDaemon, "daemon_not_found", "culvert daemons")
}

func TestDoctorDaemonOffline(t *testing.T) {
	w, stop := pairedWorld(t)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	d := diagnose(t, DoctorOptions{Common: w.common("client"), Daemon: "daemon"}, nil)
	d.want(t, HopDaemon, CodeDaemon, "daemon_offline", "start `culvert expose`")
}

func TestDoctorIdentityChanged(t *testing.T) {
	w, _ := pairedWorld(t)
	dir, err := config.Open(w.common("client").StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	pin, err := dir.KnownDaemons().Lookup("daemon")
	if err != nil {
		t.Fatal(err)
	}
	pin.Key = e2ee.GenerateIdentity().PublicKey()
	if err := dir.KnownDaemons().Replace(pin); err != nil {
		t.Fatal(err)
	}
	d := diagnose(t, DoctorOptions{Common: w.common("client"), Daemon: "daemon"}, nil)
	d.want(t, HopIdentity, CodeIdentity, "identity_key_changed", "culvert trust forget daemon")
}

func TestDoctorNotPinned(t *testing.T) {
	w, _ := pairedWorld(t)
	w.login("stranger", "client")
	d := diagnose(t, DoctorOptions{Common: w.common("stranger"), Daemon: "daemon"}, nil)
	d.want(t, HopIdentity, CodeRefused, "not_trusted", "culvert trust accept daemon --fingerprint SHA256:")
	if pins, _, err := TrustList(w.common("stranger")); err != nil || len(pins) != 0 {
		t.Errorf("the doctor has pinned %v (%v)", pins, err)
	}
}

func TestDoctorNotAuthorised(t *testing.T) {
	w, _ := pairedWorld(t)
	rows, _, err := Clients(t.Context(), w.common("daemon"))
	if err != nil || len(rows) != 1 {
		t.Fatalf("clients: %+v, %v", rows, err)
	}
	if _, err := Revoke(t.Context(), w.common("daemon"), rows[0].Name); err != nil {
		t.Fatal(err)
	}
	d := diagnose(t, DoctorOptions{Common: w.common("client"), Daemon: "daemon"}, nil)
	d.want(t, HopAccess, CodeRefused, "not_authorized", "culvert grant ")
}

func TestDoctorTargetRefused(t *testing.T) {
	w, _ := pairedWorld(t)
	d := diagnose(t, DoctorOptions{Common: w.common("client"), Daemon: "daemon"}, nil)
	d.want(t, HopTarget, CodeTarget, "refused", "start the program behind the target")
}

func TestDoctorTargetUnknown(t *testing.T) {
	w, _ := pairedWorld(t)
	d := diagnose(t, DoctorOptions{Common: w.common("client"), Daemon: "daemon", Target: "nothing"}, nil)
	d.want(t, HopTarget, CodeTarget, "unknown_target", "this machine may reach: echo, down")
}

// frontedWorld is a world whose relay stands behind a web server.
type frontedWorld struct {
	*world
	portal atomic.Bool // the web server answers WebSockets with a page
}

func newFrontedWorld(t *testing.T) *frontedWorld {
	t.Helper()
	f := &frontedWorld{}
	var backend atomic.Pointer[httputil.ReverseProxy]
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.portal.Load() && r.Header.Get("Upgrade") != "" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>Welcome</html>") // the client may be gone
			return
		}
		backend.Load().ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	w := &world{t: t, dir: t.TempDir()}
	ready := make(chan RelayInfo, 1)
	w.background("relay", func(ctx context.Context) error {
		o := RelayOptions{Common: w.common("relay"), Listen: "127.0.0.1:0", PublicURL: front.URL, Ready: func(i RelayInfo) { ready <- i }}
		return RunRelay(ctx, o, func(Event) {})
	})
	w.relay = receive(t, "relay", ready)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: w.relay.Addr})
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	proxy.Transport = tr
	backend.Store(proxy)
	f.world = w
	w.login("daemon", "daemon")
	w.expose("daemon", nil, "echo="+echoServer(t))
	w.pair("daemon", "client")
	return f
}
