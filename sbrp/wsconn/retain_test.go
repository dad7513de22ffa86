package wsconn_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"culvert/sbrp/wsconn"
)

// A relay has ten thousands of idle connections: none may keep the request that it came with, and by it the HTTP server's buffers.
func TestAcceptKeepsNoRequest(t *testing.T) {
	type upgraded struct {
		conn    *wsconn.Conn
		request weak.Pointer[http.Request]
	}
	got := make(chan upgraded, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := wsconn.Accept(w, r, wsconn.AcceptOptions{})
		if err != nil {
			t.Error(err)
		}
		got <- upgraded{conn, weak.Make(r)}
	}))
	defer srv.Close()
	client, err := wsconn.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), wsconn.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseNow()
	u := <-got
	if u.conn == nil {
		return
	}
	defer u.conn.CloseNow()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); u.request.Value() != nil; <-tick.C {
		if time.Since(began) > time.Minute {
			t.Fatal("the connection keeps its request")
		}
		runtime.GC()
	}
	runtime.KeepAlive(u.conn)
}
