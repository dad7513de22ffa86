package wsconn_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// via is a Proxy function that always gives this proxy.
func via(raw string) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		if r.Header.Get("Authorization") != "" || strings.Contains(r.URL.String(), secret) {
			return nil, errors.New("the proxy function was shown a secret")
		}
		return url.Parse(raw)
	}
}

// connectProxy is an HTTP proxy that knows CONNECT, for one user. Every tunnel goes to target.
type connectProxy struct {
	t       *testing.T
	target  string
	tunnels sync.WaitGroup

	mu    sync.Mutex
	asked []string // hosts
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	if r.Header.Get("Authorization") != "" {
		p.t.Error("the proxy was shown the token")
	}
	user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
	if user != "alice" || password != "p@ss" {
		w.Header().Set("Proxy-Authenticate", "Basic realm=x")
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	down, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.t.Error(err)
		return
	}
	_, _ = io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n") // the copies notice
	p.pipe(up, down)
}

func (p *connectProxy) pipe(a, b net.Conn) {
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		p.tunnels.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // either end may close
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
}

// roundTripOf sends a frame up and down.
func roundTripOf(t *testing.T, client, server *wsconn.Conn) {
	t.Helper()
	buf := make([]byte, sbrp.MaxFrame+1)
	for _, way := range [][2]*wsconn.Conn{{client, server}, {server, client}} {
		if err := way[0].Write(frame(1000, 1)); err != nil {
			t.Fatal(err)
		}
		if n, err := way[1].Read(buf); err != nil || n != sbrp.HeaderSize+1000 {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
}

func TestDialThroughHTTPProxies(t *testing.T) {
	secureServer := httptest.NewTLSServer(http.NotFoundHandler())
	config, client := secureServer.TLS.Clone(), secureServer.Client().Transport.(*http.Transport).TLSClientConfig
	secureServer.Close()
	config.NextProtos = nil
	for _, proxyTLS := range []bool{false, true} {
		for _, relayTLS := range []bool{false, true} {
			name := "http proxy, "
			if proxyTLS {
				name = "https proxy, "
			}
			accepted := make(chan *wsconn.Conn, 1)
			relay := ""
			if relayTLS {
				name += "wss"
				relay = serveWith(t, accepted, wsconn.AcceptOptions{}, config)
			} else {
				name += "ws"
				relay = serve(t, accepted, wsconn.AcceptOptions{})
			}
			_, address, _ := strings.Cut(relay, "://")
			p := &connectProxy{t: t, target: address}
			srv := httptest.NewUnstartedServer(p)
			if proxyTLS {
				srv.TLS = config.Clone()
				srv.StartTLS()
			} else {
				srv.Start()
			}
			t.Run(name, func(t *testing.T) {
				// The name is the certificate's, and resolves nowhere here: it is the proxy's to resolve.
				named := strings.Replace(relay, address, "example.com", 1) + "/relay"
				o := wsconn.DialOptions{TLS: client, Token: secret, Proxy: via(strings.Replace(srv.URL, "://", "://alice:p%40ss@", 1))}
				c, err := dial(t, named, o)
				if err != nil {
					t.Fatal(err)
				}
				roundTripOf(t, c, <-accepted)
				want := "CONNECT example.com:80"
				if relayTLS {
					want = "CONNECT example.com:443"
				}
				if p.asked[0] != want {
					t.Errorf("the proxy was asked %q, want %q", p.asked[0], want)
				}
				c.CloseNow()

				o.Proxy = via(strings.Replace(srv.URL, "://", "://alice:"+secret+"@", 1))
				de := failDial(t, t.Context(), named, o)
				if de.Hop != wsconn.HopProxy || de.Status != http.StatusProxyAuthRequired || de.Address != strings.TrimPrefix(srv.URL[strings.Index(srv.URL, "//"):], "//") {
					t.Errorf("wrong password: got hop %s, status %d, address %s", de.Hop, de.Status, de.Address)
				}
			})
			srv.CloseClientConnections()
			srv.Close()
			p.tunnels.Wait()
		}
	}
}

func TestDialProxyErrors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		proxy func(*http.Request) (*url.URL, error)
	}{
		{"unknown scheme", via("ftp://proxy.test")},
		{"nobody there", via("http://127.0.0.1:1")},
		{"no proxy", via("http://" + answer(t, "SSH-2.0-x\r\n"))},
		{"closes", via("http://" + answer(t, ""))},
		{"forbids", via("http://" + answer(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))},
		{"speaks first", via("http://" + answer(t, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n"))},
		{"cannot choose", func(*http.Request) (*url.URL, error) { return nil, errors.New("no idea") }},
		{"no SOCKS", via("socks5://" + answer(t, "HTTP/1.1 400 Bad Request\r\n\r\n"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			de := failDial(t, t.Context(), "wss://relay.test", wsconn.DialOptions{Token: secret, Proxy: tt.proxy})
			if de.Hop != wsconn.HopProxy {
				t.Errorf("hop %s, want proxy: %v", de.Hop, de)
			}
		})
	}
}

// socksProxy serves one SOCKS5 connection (RFC 1928) with user and password (RFC 1929), and connects it to target.
func socksProxy(t *testing.T, target string) (address string, asked <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hosts := make(chan string, 1)
	p := &connectProxy{t: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		r := bufio.NewReader(c)
		take := func(n int) []byte {
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				t.Error(err)
			}
			return b
		}
		take(int(take(2)[1])) // methods
		_, _ = c.Write([]byte{5, 2})
		take(int(take(2)[1])) // user
		take(int(take(1)[0])) // password
		_, _ = c.Write([]byte{1, 0})
		head := take(4)
		if head[3] != 3 {
			t.Errorf("address type %d, want a name", head[3])
		}
		host := string(take(int(take(1)[0])))
		hosts <- net.JoinHostPort(host, string(rune('0'+binary.BigEndian.Uint16(take(2))%10)))
		up, err := net.Dial("tcp", target)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		p.pipe(up, c)
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		p.tunnels.Wait()
	})
	return l.Addr().String(), hosts
}

func TestDialThroughSOCKS(t *testing.T) {
	accepted := make(chan *wsconn.Conn, 1)
	relay := serve(t, accepted, wsconn.AcceptOptions{})
	address, asked := socksProxy(t, strings.TrimPrefix(relay, "ws://"))
	c, err := dial(t, "ws://relay.test:80/", wsconn.DialOptions{Proxy: via("socks5h://alice:pw@" + address)})
	if err != nil {
		t.Fatal(err)
	}
	server := <-accepted
	roundTripOf(t, c, server)
	if host := <-asked; !strings.HasPrefix(host, "relay.test:") {
		t.Errorf("the proxy was asked for %s: the name is its to resolve", host)
	}
	c.CloseNow()
	server.CloseNow()
}
