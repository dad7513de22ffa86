package wsconn_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// pair returns both ends of a WebSocket on loopback, with or without TLS. wrap, if set, wraps every connection that either
// side opens or accepts.
func pair(t testing.TB, secure bool, wrap func(net.Conn) net.Conn) (client, server *wsconn.Conn) {
	t.Helper()
	accepted := make(chan *wsconn.Conn, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Accept(w, r, wsconn.AcceptOptions{})
		if err != nil {
			t.Errorf("accept: %v", err)
		}
		accepted <- c
	}))
	srv.Listener = wsconn.NewListener(wrapListener{srv.Listener, wrap})
	o := wsconn.DialOptions{NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if err != nil || wrap == nil {
			return c, err
		}
		return wrap(c), nil
	}}
	if secure {
		srv.StartTLS()
		o.TLS = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	} else {
		srv.Start()
	}
	client, err := wsconn.Dial(t.Context(), strings.Replace(srv.URL, "http", "ws", 1), o)
	if err != nil {
		srv.Close()
		t.Fatal(err)
	}
	server = <-accepted
	t.Cleanup(func() {
		client.CloseNow()
		server.CloseNow()
		srv.Close()
	})
	return client, server
}

type wrapListener struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrapListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.wrap == nil {
		return c, err
	}
	return l.wrap(c), nil
}

// frame returns a Data frame with size bytes of payload that depend on seed.
func frame(size, seed int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i*7 + seed)
	}
	return sbrp.AppendFrame(nil, sbrp.FrameData, 1, p)
}

// serveWith runs a server that passes on what it accepts, and returns its ws:// URL, wss:// with a TLS configuration.
func serveWith(t *testing.T, accepted chan<- *wsconn.Conn, o wsconn.AcceptOptions, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []*wsconn.Conn
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Accept(w, r, o)
		if err != nil {
			return
		}
		mu.Lock()
		all = append(all, c)
		mu.Unlock()
		accepted <- c
	})}
	wl, url := wsconn.NewListener(l), "ws://"+l.Addr().String()
	if config != nil {
		wl, url = tls.NewListener(wl, config), "wss://"+l.Addr().String()
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(wl) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		<-served
		mu.Lock()
		defer mu.Unlock()
		for _, c := range all {
			c.CloseNow()
		}
	})
	return url
}
