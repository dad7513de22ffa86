package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"culvert/config"
	"culvert/mux"
	"culvert/sbrp/api"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
	"culvert/sbrp/wsconn"
	"culvert/tunnel"
)

// numbClients connects so many clients, each with a key and a link of its own, that take
// what the daemon sends and never acknowledge it. They are one device to the control
// plane: only their links differ.
func (l *lab) numbClients(count int) *numbCrowd {
	t := l.t
	t.Helper()
	n := &numbCrowd{}
	n.ctx, n.stop = context.WithCancel(context.Background())
	dir, err := config.Open(l.path("daemon"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	pem, err := os.ReadFile(l.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	proxy, err := url.Parse(l.clientRoute.url())
	if err != nil {
		t.Fatal(err)
	}
	device := e2ee.GenerateIdentity()
	rt := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer rt.CloseIdleConnections()
	plane, err := api.NewClient(api.Config{BaseURL: labURL, Key: device, HTTP: &http.Client{Transport: rt}})
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(l.call(nil, "relay", "key", "create", "--state-dir", l.path("relay"), "--scope", "client"))
	if _, err := plane.Enroll(t.Context(), api.EnrollRequest{APIKey: key, Name: "crowd"}); err != nil {
		t.Fatal(err)
	}
	daemons, err := plane.Daemons(t.Context())
	if err != nil || len(daemons) != 1 {
		t.Fatalf("daemons: %v, %v", daemons, err)
	}
	dial := wsconn.DialOptions{TLS: &tls.Config{RootCAs: roots}, Proxy: http.ProxyURL(proxy)}
	for i := range count {
		id := e2ee.GenerateIdentity()
		if _, err := dir.AuthorizedClients().Grant(config.Grant{Key: id.PublicKey(), Name: "numb" + strconv.Itoa(i), Targets: []string{config.AllTargets}}); err != nil {
			t.Fatal(err)
		}
		s, err := plane.CreateSession(t.Context(), daemons[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		session, err := endpoint.DialSession(t.Context(), endpoint.ClientConfig{
			URL: s.RelayURL, Token: s.Token, DaemonID: daemons[0].ID, Expected: s.IdentityPublicKey, Dial: dial,
		})
		if err != nil {
			t.Fatal(err)
		}
		n.join(t, id, session)
	}
	return n
}

// numbCrowd is clients that acknowledge nothing.
type numbCrowd struct {
	ctx      context.Context
	stop     context.CancelFunc
	received atomic.Int64 // bytes of messages since each has become numb
	wg       sync.WaitGroup
	members  []member
}

// member is one client: its carrier and its stream from the target.
type member struct {
	carrier *numbCarrier
	*mux.Stream
}

// join starts one client on a carrier and connects it to the flood's target.
func (n *numbCrowd) join(t *testing.T, id *e2ee.Identity, session *endpoint.Session) {
	t.Helper()
	c, err := mux.NewClient(mux.ClientConfig{
		Key: id.PublicKey(), Sign: id.SignMessage, Name: "numb",
		WindowMin: numbWindow, WindowMax: numbWindow, StreamWindow: numbWindow,
	})
	if err != nil {
		t.Fatal(err)
	}
	carrier := &numbCarrier{Session: session, crowd: n}
	n.wg.Go(func() { _ = c.Run(n.ctx) }) // the context's end
	n.wg.Go(func() { _ = c.Serve(n.ctx, carrier) })
	ctx, cancel := context.WithTimeout(n.ctx, patience)
	defer cancel()
	s, err := tunnel.Connect(ctx, c, "flood")
	if err != nil {
		t.Fatal(err)
	}
	n.members = append(n.members, member{carrier, s})
}

// drink has all clients ask for the flood and become numb once it comes.
func (n *numbCrowd) drink(t *testing.T) {
	t.Helper()
	var g errgroup.Group
	for _, m := range n.members {
		g.Go(func() error {
			if err := m.SetDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			if _, err := m.Write(hello); err != nil {
				return err
			}
			if _, err := m.Read(make([]byte, 1)); err != nil {
				return err
			}
			m.carrier.numb.Store(true)
			n.wg.Go(func() { m.carrier.live(n.ctx) })
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (n *numbCrowd) leave() {
	n.stop()
	n.wg.Wait()
}

// numbCarrier is a carrier of which, once it is numb, the link hears and says nothing.
type numbCarrier struct {
	*endpoint.Session
	crowd *numbCrowd
	numb  atomic.Bool
}

func (c *numbCarrier) Receive(buf []byte) ([]byte, error) {
	for {
		msg, err := c.Session.Receive(buf)
		if err != nil || !c.numb.Load() {
			return msg, err
		}
		c.crowd.received.Add(int64(len(msg)))
	}
}

func (c *numbCarrier) Send(buf []byte) error {
	if c.numb.Load() {
		return nil // lost on the way
	}
	return c.Session.Send(buf)
}

// live says now and then that the peer is there: a PROBE (see mux's PROTOCOL.md) that has
// sent nothing. Else the daemon would take the path for dead.
func (c *numbCarrier) live(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	head, tail, _ := c.Overhead()
	for nonce := uint64(1); ; nonce++ {
		b := append(make([]byte, head, head+17+tail), 0x13)
		b = binary.BigEndian.AppendUint64(b, nonce)
		b = binary.BigEndian.AppendUint64(b, 0)
		if c.Session.Send(b) != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
