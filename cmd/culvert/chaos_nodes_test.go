//go:build unix

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"culvert/sbrp/control/pgtest"
)

// cluster is a lab with three relays that share a PostgreSQL. Their common URL leads to
// each of those that live in turn, as a load balancer does.
type cluster struct {
	*lab
	db    *pgtest.Server
	nodes [3]*part // nil: it does not run
	addrs [3]string
}

func newCluster(t *testing.T, bin string) *cluster {
	t.Helper()
	pgtest.Need(t)
	db, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Stop)
	c := &cluster{lab: emptyLab(t, bin), db: db}
	for i := range c.nodes {
		c.startNode(i)
	}
	c.enrol("--state-dir", c.path("admin"), "--db", db.URL("postgres"))
	return c
}

func nodeHost(i int) string { return fmt.Sprintf("n%d.relay.test", i) }

func (c *cluster) startNode(i int) {
	c.t.Helper()
	p := c.start(fmt.Sprint("node ", i), nil, "relay", "--state-dir", c.path(fmt.Sprint("node", i)), "--listen", "127.0.0.1:0",
		"--public-url", labURL, "--node-url", "https://"+nodeHost(i), "--db", c.db.URL("postgres"),
		"--tls-cert", c.path("cert.pem"), "--tls-key", c.path("key.pem"))
	c.nodes[i], c.addrs[i] = p, p.next(0, patience, "online").Addr
	c.balance()
}

// balance makes the names lead to the nodes that run.
func (c *cluster) balance() {
	var live []string
	for i, p := range c.nodes {
		c.addr.setHost(nodeHost(i))
		if p != nil {
			c.addr.setHost(nodeHost(i), c.addrs[i])
			live = append(live, c.addrs[i])
		}
	}
	c.addr.setHost("relay.test", live...)
}

// gone notes that a node does not run any more.
func (c *cluster) gone(i int) {
	c.nodes[i] = nil
	c.balance()
}

// nodeOf tells at which node the daemon came online last.
func (c *cluster) nodeOf(daemon *part) int {
	c.t.Helper()
	at := ""
	for _, e := range daemon.all() {
		if e.Event == "online" {
			at = e.Relay
		}
	}
	for i := range c.nodes {
		if strings.Contains(at, nodeHost(i)) {
			return i
		}
	}
	c.t.Fatalf("the daemon is at %q, which is no node", at)
	return -1
}

// ask asks the control plane something that it has to look up, with an API key.
func (c *cluster) ask(path string) *http.Response {
	c.t.Helper()
	pem, err := os.ReadFile(c.path("ca.pem"))
	if err != nil {
		c.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	proxy, err := url.Parse(c.clientRoute.url())
	if err != nil {
		c.t.Fatal(err)
	}
	transport := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	key, err := os.ReadFile(c.path("api.key"))
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, labURL+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = resp.Body.Close() // only the head is of interest
	return resp
}

// until waits for what comes by itself.
func (c *cluster) until(what string, is func() bool) {
	c.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			c.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// chaosNodes kills and drains the node at which the daemon is, again and again, and the
// database too: transfers and quiet connections go on.
func chaosNodes(t *testing.T, bin string) {
	c := newCluster(t, bin)
	size := bulk(256<<20, 48<<20)
	tr, sink, source := newTraffic(c.lab, size)
	daemon := c.expose("sink="+sink, "source="+source, "echo="+c.serveEcho())
	c.pair("client", c.clientRoute)
	client, at := c.forward("client", c.clientRoute, nil, "sink", "source", "echo")
	quiet := c.ping(c.dial(at["echo"]))
	tr.start(at["sink"], at["source"])
	var took recoveries
	const steps = 6
	slice := size / steps
	// flows lets the next slice flow, up to its middle.
	step := int64(0)
	flows := func() {
		tr.allow((step + 1) * slice)
		tr.reach(step*slice+slice/2, patience)
		step++
	}
	moves := func(kind string, node int, away func()) {
		t.Helper()
		flows()
		atDaemon, mark := daemon.events(), time.Now()
		away()
		tr.allow((step + 1) * slice)
		tr.expect(mark)
		daemon.nextThat(atDaemon, patience, "online at another node", func(e told) bool {
			return e.Event == "online" && !strings.Contains(e.Relay, nodeHost(node))
		})
		took.add(kind, tr.resumed(patience))
		quiet()
		tr.check()
	}
	for range 3 {
		node := c.nodeOf(daemon)
		moves("node: kill -9", node, func() {
			c.nodes[node].kill()
			c.gone(node)
		})
		c.startNode(node)
	}

	node := c.nodeOf(daemon)
	moves("node: drained", node, func() {
		p := c.nodes[node]
		c.gone(node)
		p.signal(syscall.SIGTERM)
		<-p.done // end looks at its exit code
	})
	c.startNode(node)

	flows()
	c.db.Kill()
	atDaemon := daemon.events()
	flows() // what there is goes on without it
	if resp := c.ask("/api/keys"); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("without its database the control plane says %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
	if err := c.db.Run(); err != nil {
		t.Fatal(err)
	}
	c.until("the control plane is back", func() bool { return c.ask("/readyz").StatusCode == http.StatusOK })
	quiet()
	if resp := c.ask("/api/keys"); resp.StatusCode != http.StatusForbidden { // the key has no scope for that
		t.Errorf("with its database again the control plane says %s", resp.Status)
	}
	c.until("the daemon is known to be online", func() bool {
		return strings.Contains(c.call(c.via(c.daemonRoute), "daemons", "--state-dir", c.path("daemon"), "--json"), `"online":true`)
	})
	for _, e := range daemon.all()[atDaemon:] {
		t.Errorf("the database was restarted, and the daemon says %s", e.line)
	}
	tr.allow(size)
	tr.finish(2 * patience)
	t.Log(took.table())
	for _, e := range client.all() {
		if e.Event == "lost" {
			t.Errorf("the client tells that it has lost %d connections: %s", e.Connections, e.Reason)
		}
	}
}
