package sbrptest

import (
	"bytes"
	"net/http/httptest"
	"sync"
	"testing"

	"culvert/sbrp/chaos"
)

// Delivery is one message on its way from the relay to an endpoint.
type Delivery = chaos.Delivery

// Cheat is a hostile relay and control plane in front of real ones (chaos.Middle) that remembers all that endpoints send. It
// behaves until it is told otherwise; LeadTo comes first. All methods may be called concurrently.
type Cheat struct {
	*chaos.Middle
	URL string // what clients and daemons are told

	mu   sync.Mutex // guards what follows
	seen bytes.Buffer
}

// NewCheat listens on a loopback port until the test ends.
func NewCheat(t testing.TB) *Cheat {
	t.Helper()
	c := &Cheat{Middle: &chaos.Middle{}}
	c.Note(func(b []byte) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen.Write(b)
	})
	server := httptest.NewServer(c)
	c.URL = server.URL
	t.Cleanup(func() {
		c.Cut()
		server.Close()
		c.Close()
	})
	return c
}

// Saw reports whether the endpoints have sent these bytes, in any frame, request or header.
func (c *Cheat) Saw(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Contains(c.seen.Bytes(), b)
}

// Seen is how many bytes the endpoints have sent.
func (c *Cheat) Seen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen.Len()
}
