package control_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/control"
)

// fakeRelay is a relay as far as a node asks.
type fakeRelay struct {
	mu    sync.Mutex
	here  map[string]bool // guarded by mu: connected
	held  map[string]bool // guarded by mu: with sessions
	moved map[string]int  // guarded by mu
}

func (f *fakeRelay) Online(id string) bool { f.mu.Lock(); defer f.mu.Unlock(); return f.here[id] }
func (f *fakeRelay) Holds(id string) bool  { f.mu.Lock(); defer f.mu.Unlock(); return f.held[id] }

func (f *fakeRelay) Daemons() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.here))
}

func (f *fakeRelay) Move(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moved[id]++
	was := f.here[id] || f.held[id]
	delete(f.here, id)
	delete(f.held, id)
	return was
}

func (f *fakeRelay) moves(id string) int { f.mu.Lock(); defer f.mu.Unlock(); return f.moved[id] }

// testNode is a node that runs, with a plane of its own on the shared store.
type testNode struct {
	*control.Node
	relay *fakeRelay
	url   string
	plane *plane
	stop  func()
}

const testLease = time.Second

// startNode starts a node on the store of that path.
func startNode(t *testing.T, path, url string) *testNode {
	t.Helper()
	store := openStore(t, path)
	n := &testNode{url: url, relay: &fakeRelay{here: map[string]bool{}, held: map[string]bool{}, moved: map[string]int{}}}
	var err error
	n.Node, err = control.NewNode(control.NodeConfig{Store: store, URL: url, Lease: testLease, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	n.plane = newPlaneOn(t, store, func(c *control.Config) { c.Node = n.Node })
	n.plane.forward(time.Since(n.plane.now()))
	store.SetNow(time.Now) // leases are over in real time
	must(t, n.Join(t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, n.relay) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

// connect makes a daemon connect to the node, or leave it.
func (n *testNode) connect(id string, on, sessions bool) {
	n.relay.mu.Lock()
	delete(n.relay.here, id)
	delete(n.relay.held, id)
	if on {
		n.relay.here[id] = true
	}
	if sessions {
		n.relay.held[id] = true
	}
	n.relay.mu.Unlock()
	n.Changed(id)
}

// until waits for something that the nodes bring about by themselves.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// A daemon is found where it is, by every node; where it is to go without it being anywhere
// is the same on all; and a node that is gone is not named.
func TestNodes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.db")
	var nodes []*testNode
	for i := range 3 {
		nodes = append(nodes, startNode(t, path, fmt.Sprintf("wss://n%d.example.org/relay", i)))
	}
	a, b, c := nodes[0], nodes[1], nodes[2]
	ctx := t.Context()
	daemon := a.plane.enrolled(api.ScopeDaemon)
	register := func(unreachable ...string) api.RegisterResponse {
		t.Helper()
		r, err := daemon.Register(ctx, api.RegisterRequest{IdentityPublicKey: daemon.key, Name: "laptop", Unreachable: unreachable})
		must(t, err)
		return r
	}
	client := a.plane.enrolled(api.ScopeClient)
	first := register()
	id := first.DaemonID
	var clients []*device
	for _, n := range nodes { // one device, through each node
		cl, err := api.NewClient(api.Config{BaseURL: n.plane.url, Key: client.priv, HTTP: n.plane.http, Now: n.plane.now})
		must(t, err)
		clients = append(clients, &device{Client: cl})
	}
	found := func(want string) func() bool {
		return func() bool {
			for _, cl := range clients {
				s, err := cl.CreateSession(ctx, id)
				if err != nil || s.RelayURL != want {
					return false
				}
			}
			return true
		}
	}
	online := func(want string) func() bool {
		return func() bool {
			for _, cl := range clients {
				list, err := cl.Daemons(ctx)
				if err != nil || len(list) != 1 || list[0].Status != want {
					return false
				}
			}
			return true
		}
	}
	until(t, "it is found at home although it is not there", found(first.RelayURL))
	until(t, "it is offline", online(api.StatusOffline))

	at := slices.IndexFunc(nodes, func(n *testNode) bool { return n.url == first.RelayURL })
	home, other := nodes[at], nodes[(at+1)%3]
	if got := register(home.url); got.RelayURL == home.url || got.DaemonID != id {
		t.Errorf("a daemon that cannot reach %s is sent there", home.url)
	}
	if got := register(a.url, b.url, c.url); got.RelayURL != home.url {
		t.Errorf("a daemon that cannot reach any is sent to %s, want %s", got.RelayURL, home.url)
	}
	_, err := daemon.Register(ctx, api.RegisterRequest{IdentityPublicKey: daemon.key, Unreachable: make([]string, 17)})
	wantCode(t, err, 400, api.CodeInvalidRequest)

	// It connects elsewhere, and then at home while the other still believes to have it.
	other.connect(id, true, true)
	until(t, "it is found where it is", found(other.url))
	until(t, "it is online", online(api.StatusOnline))
	home.connect(id, true, false)
	until(t, "it is found at home", found(home.url))
	other.connect(id, false, true) // lost there, and its sessions wait
	until(t, "its sessions are sent after it", func() bool { return other.relay.moves(id) == 1 })
	until(t, "it is found at home still", found(home.url))

	// The node drains: who is there goes on, who asks goes elsewhere.
	must(t, home.Drain(ctx))
	next := register()
	if next.RelayURL == home.url {
		t.Errorf("a daemon is sent to a node that drains")
	}
	until(t, "clients are sent where it will be", found(next.RelayURL))
	home.stop()
	until(t, "it is offline", online(api.StatusOffline))
	to := nodes[slices.IndexFunc(nodes, func(n *testNode) bool { return n.url == next.RelayURL })]
	to.connect(id, true, false)
	until(t, "it is found where it went", found(to.url))
	until(t, "it is online", online(api.StatusOnline))
	to.connect(id, false, false)
	until(t, "it is offline", online(api.StatusOffline))
}

// Few daemons change their place when a node comes or goes, and each node gets its share.
func TestRendezvous(t *testing.T) {
	urls := []string{"wss://a/relay", "wss://b/relay", "wss://c/relay", "wss://d/relay"}
	const daemons = 10_000
	places := func(urls ...string) map[string]string {
		at := map[string]string{}
		for i := range daemons {
			id := fmt.Sprint("dmn_", i)
			at[id] = control.Rendezvous(urls, id)
		}
		return at
	}
	three, four := places(urls[:3]...), places(urls...)
	count := map[string]int{}
	for id, url := range four {
		count[url]++
		if url != urls[3] && three[id] != url {
			t.Errorf("%s went from %s to %s when %s came", id, three[id], url, urls[3])
		}
	}
	for _, url := range urls {
		if n := count[url]; n < daemons/4*9/10 || n > daemons/4*11/10 {
			t.Errorf("%s has %d of %d daemons", url, n, daemons)
		}
	}
}

// A node that was forgotten comes back with all its daemons; one whose URL another process
// has taken is silent; daemons are sent home once and not again.
func TestNodeForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.db")
	a, b := startNode(t, path, "wss://a.example.org/relay"), startNode(t, path, "wss://b.example.org/relay")
	store, now := a.plane.store, time.Now()
	k, _, err := store.CreateKey(t.Context(), control.KeySpec{Scopes: []string{"daemon"}})
	must(t, err)
	foreign := "" // the daemon at a whose home is b
	var own []string
	for i := byte(1); foreign == "" || len(own) == 0; i++ {
		d, err := store.Register(t.Context(), sbrp.PublicKey{i}, fmt.Sprint("d", i), k, now)
		must(t, err)
		switch {
		case control.Rendezvous([]string{a.url, b.url}, d.ID) == a.url:
			own = append(own, d.ID)
		case foreign == "":
			foreign = d.ID
		default:
			continue
		}
		a.connect(d.ID, true, true)
	}
	rows := func(n int) func() bool {
		return func() bool { got, err := store.Count(t.Context(), "presences"); return err == nil && got == n }
	}
	until(t, "the one whose home is elsewhere is sent there", func() bool { return a.relay.moves(foreign) == 1 })
	a.connect(foreign, false, false)
	until(t, "the store knows who is left", rows(len(own)))
	a.connect(foreign, true, false) // it comes back all the same
	must(t, store.Exec(t.Context(), `DELETE FROM nodes`))
	until(t, "both nodes have joined again", func() bool { n, err := store.Count(t.Context(), "nodes"); return err == nil && n == 2 })
	until(t, "the store knows again who is here", rows(len(own)+1))
	if a.relay.moves(foreign) != 1 || a.relay.moves(own[0]) != 0 {
		t.Errorf("moved %v", a.relay.moved)
	}
	// A second process with a's URL.
	c := startNode(t, path, a.url)
	c.connect(own[0], true, false)
	until(t, "the newer one's word counts", rows(1))
	a.stop()
	until(t, "the newer one's word counts still", rows(1))
}
