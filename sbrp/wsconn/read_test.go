package wsconn_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// raw speaks WebSocket by hand, as a client, for what a library would not send.
type raw struct {
	t    *testing.T
	conn net.Conn
}

// rawPair returns a server's Conn and a client that writes its frames by hand.
func rawPair(t *testing.T) (raw, *wsconn.Conn) {
	t.Helper()
	var hand net.Conn
	accepted := make(chan *wsconn.Conn, 1)
	url := serve(t, accepted, wsconn.AcceptOptions{})
	hand, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hand.Close() }) // the test may have closed it
	if _, err := io.WriteString(hand, "GET / HTTP/1.1\r\nHost: relay\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := io.ReadFull(hand, b[:]); err != nil {
			t.Fatalf("after %q: %v", head, err)
		}
		head = append(head, b[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		t.Fatalf("got %q", head)
	}
	return raw{t, hand}, <-accepted
}

// write sends one masked WebSocket frame. claimed, if not negative, is the length in its header.
func (r raw) write(first byte, payload []byte, claimed int64) {
	r.t.Helper()
	if claimed < 0 {
		claimed = int64(len(payload))
	}
	b := []byte{first, 0x80 | 127}
	b = binary.BigEndian.AppendUint64(b, uint64(claimed))
	var key [4]byte
	_, _ = rand.Read(key[:]) // never fails
	b = append(b, key[:]...)
	for i, x := range payload {
		b = append(b, x^key[i%4])
	}
	if _, err := r.conn.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

const (
	fin  = 0x80
	cont = 0x0
	text = 0x1
	bin  = 0x2
)

func TestReadText(t *testing.T) {
	hand, server := rawPair(t)
	hand.write(fin|text, []byte("hello"), -1)
	_, err := server.Read(make([]byte, sbrp.MaxFrame+1))
	if !errors.Is(err, wsconn.ErrText) {
		t.Fatalf("got %v, want ErrText", err)
	}
	if err := server.Write(frame(1, 1)); err != nil {
		t.Errorf("an answer must still be possible: %v", err)
	}
}

// Whatever the size, what was read shows which of the relay's two codes is right.
func TestReadTooLarge(t *testing.T) {
	buf := make([]byte, sbrp.MaxFrame+1)
	for _, tt := range []struct {
		name    string
		message []byte
		claimed int64 // of the WebSocket frame
		want    sbrp.Code
	}{
		{"length over the limit", append([]byte{3, 0, 1, 0, 1}, make([]byte, sbrp.MaxFrame)...), -1, sbrp.CodePayloadTooLarge},
		{"length over the limit, endless message", append([]byte{3, 0, 1, 0, 1}, make([]byte, sbrp.MaxFrame)...), 1 << 62, sbrp.CodePayloadTooLarge},
		{"more bytes than the length says", append(frame(sbrp.MaxPayload, 1), 0), -1, sbrp.CodeMalformedFrame},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hand, server := rawPair(t)
			hand.write(fin|bin, tt.message, tt.claimed)
			n, err := server.Read(buf)
			if !errors.Is(err, wsconn.ErrTooLarge) || n != len(buf) {
				t.Fatalf("got %d bytes, %v; want all of the buffer and ErrTooLarge", n, err)
			}
			if _, err := sbrp.ParseFrame(buf[:n]); !errors.Is(err, &sbrp.Error{Code: tt.want}) {
				t.Errorf("the frame: got %v, want %v", err, tt.want)
			}
			if err := server.Write(frame(1, 1)); err != nil {
				t.Errorf("an answer must still be possible: %v", err)
			}
		})
	}
}

func TestReadFragments(t *testing.T) {
	hand, server := rawPair(t)
	whole := frame(sbrp.MaxPayload, 9)
	hand.write(bin, whole[:1], -1)
	hand.write(cont, nil, -1)
	hand.write(fin|0x9, []byte("ping in between"), -1)
	hand.write(cont, whole[1:40_000], -1)
	hand.write(fin|cont, whole[40_000:], -1)
	buf := make([]byte, sbrp.MaxFrame+1)
	n, err := server.Read(buf)
	if err != nil || !bytes.Equal(buf[:n], whole) {
		t.Fatalf("got %d bytes, %v", n, err)
	}
	pong := make([]byte, 2+len("ping in between"))
	if _, err := io.ReadFull(hand.conn, pong); err != nil || string(pong) != "\x8a\x0fping in between" {
		t.Errorf("pong: got %q, %v", pong, err)
	}
}

func TestReadBrokenWebSocket(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first byte
	}{
		{"continuation of nothing", fin | cont}, {"reserved bits", fin | bin | 0x40}, {"reserved opcode", fin | 0x3},
		{"control frame in pieces", 0x9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hand, server := rawPair(t)
			hand.write(tt.first, []byte("x"), -1)
			if _, err := server.Read(make([]byte, sbrp.MaxFrame+1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v, want a net.ErrClosed", err)
			}
		})
	}
	t.Run("not masked", func(t *testing.T) {
		hand, server := rawPair(t)
		if _, err := hand.conn.Write([]byte{fin | bin, 1, 'x'}); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Read(make([]byte, sbrp.MaxFrame+1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want a net.ErrClosed", err)
		}
	})
}

func TestReadAfterThePeersClose(t *testing.T) {
	client, server := pair(t, false, nil)
	go client.Close(wsconn.StatusTryLater, "later\n"+strings.Repeat("x", 90))
	_, err := server.Read(make([]byte, sbrp.MaxFrame+1))
	ce, ok := errors.AsType[*wsconn.CloseError](err)
	if !ok || ce.Code != wsconn.StatusTryLater || !errors.Is(err, net.ErrClosed) {
		t.Fatalf("got %v, want a CloseError with 1013 that is a net.ErrClosed", err)
	}
	if s := err.Error(); strings.Contains(s, "\n") || !strings.Contains(s, `later\n`) {
		t.Errorf("the peer's text must be quoted: %s", s)
	}
}

func TestReadAfterTheConnectionBreaks(t *testing.T) {
	hand, server := rawPair(t)
	if err := hand.conn.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := server.Read(make([]byte, sbrp.MaxFrame+1))
	if !errors.Is(err, wsconn.ErrLost) || !errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		t.Errorf("got %v, want ErrLost, a net.ErrClosed and no io.EOF", err)
	}
}

func TestNextThenRead(t *testing.T) {
	client, server := pair(t, false, nil)
	if err := client.Write(frame(10, 1)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds what the first found
		if err := server.Next(); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, sbrp.MaxFrame+1)
	if n, err := server.Read(buf); err != nil || !bytes.Equal(buf[:n], frame(10, 1)) {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

func TestLastReceiveSeesPongs(t *testing.T) {
	client, server := pair(t, false, nil)
	for _, c := range []*wsconn.Conn{client, server} {
		go func() { _ = c.Next() }() // ends with the connection
	}
	for _, c := range []*wsconn.Conn{client, server} {
		before := c.LastReceive()
		c.PingWS()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for c.LastReceive().Equal(before) {
			select {
			case <-tick.C:
			case <-t.Context().Done():
				t.Fatal("no pong")
			}
		}
	}
}

// serve runs a server that passes on what it accepts, and returns its ws:// URL.
func serve(t *testing.T, accepted chan<- *wsconn.Conn, o wsconn.AcceptOptions) string {
	t.Helper()
	return serveWith(t, accepted, o, nil)
}

func dial(t *testing.T, url string, o wsconn.DialOptions) (*wsconn.Conn, error) {
	t.Helper()
	c, err := wsconn.Dial(context.Background(), url, o)
	if c != nil {
		t.Cleanup(c.CloseNow)
	}
	return c, err
}

// readFrame reads one WebSocket frame of a server.
func (r raw) readFrame() (first byte, payload []byte) {
	r.t.Helper()
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(r.conn, b); err != nil {
			r.t.Fatal(err)
		}
		return b
	}
	h := read(2)
	switch n := int(h[1]); n {
	case 126:
		return h[0], read(int(binary.BigEndian.Uint16(read(2))))
	case 127:
		return h[0], read(int(binary.BigEndian.Uint64(read(8))))
	default:
		return h[0], read(n)
	}
}
