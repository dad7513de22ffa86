package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestStdio(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "web="+serve(t, echo), "down="+freePort(t))
	ctx := testContext(t)
	var out bytes.Buffer
	if err := Stdio(ctx, r.client, "web", strings.NewReader("hello"), &out); err != nil || out.String() != "hello" {
		t.Errorf("Stdio = %v, output %q", err, out.String())
	}
	big := strings.Repeat("0123456789abcdef", 200_000)
	out.Reset()
	if err := Stdio(ctx, r.client, "web", strings.NewReader(big), &out); err != nil || out.String() != big {
		t.Errorf("Stdio = %v, %d bytes of output, want %d", err, out.Len(), len(big))
	}
	out.Reset()
	err := Stdio(ctx, r.client, "down", strings.NewReader("hello"), &out)
	if status(t, err) != StatusRefused || out.Len() != 0 {
		t.Errorf("a target that is down: %v, output %q", err, out.String())
	}
}

// The target ends while the input stays open: the output is closed and Stdio
// returns, as a person at a terminal expects.
func TestStdioTargetEndsFirst(t *testing.T) {
	r := newRig(t, ExposerConfig{}, "bye="+serve(t, func(c net.Conn) { send(t, c, "bye") }))
	in, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer inW.Close()
	outR, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Stdio(testContext(t), r.client, "bye", in, out) }()
	if got, err := io.ReadAll(outR); err != nil || string(got) != "bye" {
		t.Errorf("output = %q, %v", got, err)
	}
	if err := wait(t, done, "Stdio's end"); err != nil {
		t.Errorf("Stdio = %v", err)
	}
}

// What still comes from the input after the target has half-closed arrives.
func TestStdioUploadAfterHalfClose(t *testing.T) {
	got := make(chan string, 1)
	r := newRig(t, ExposerConfig{}, "up="+serve(t, func(c net.Conn) {
		_ = c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(c)
		got <- string(b)
	}))
	in, inW := io.Pipe()
	closed := make(closeSignal)
	done := make(chan error, 1)
	go func() { done <- Stdio(testContext(t), r.client, "up", in, closed) }()
	<-closed
	for range 5 {
		send2(t, inW, "part ")
	}
	_ = inW.Close()
	if err := wait(t, done, "Stdio's end"); err != nil {
		t.Errorf("Stdio = %v", err)
	}
	if s := wait(t, got, "the upload"); s != "part part part part part " {
		t.Errorf("the target got %q", s)
	}
}

func send2(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Error(err)
	}
}

// closeSignal is an output that says when it is closed.
type closeSignal chan struct{}

func (c closeSignal) Write(p []byte) (int, error) { return len(p), nil }
func (c closeSignal) Close() error                { close(c); return nil }

func TestStdioErrors(t *testing.T) {
	began, reset := make(chan bool, 9), make(chan error, 9)
	r := newRig(t, ExposerConfig{}, "hold="+serve(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 1))
		began <- true
		_, err := io.ReadAll(c)
		reset <- err
	}), "echo="+serve(t, echo))
	// The input breaks: the target must not take it for the whole.
	in, inW := io.Pipe()
	go func() {
		send2(t, inW, "half")
		<-began
		_ = inW.CloseWithError(errFailing) // never fails
	}()
	if err := Stdio(testContext(t), r.client, "hold", in, io.Discard); !errors.Is(err, errFailing) {
		t.Errorf("a broken input: %v", err)
	}
	if err := wait(t, reset, "the target's end"); !isReset(err) {
		t.Errorf("the target reads %v, want a reset", err)
	}
	// The output breaks.
	if err := Stdio(testContext(t), r.client, "echo", strings.NewReader("x"), &failingWriter{}); !errors.Is(err, errFailing) {
		t.Errorf("a broken output: %v", err)
	}
	// The context ends.
	ctx, cancel := context.WithCancelCause(testContext(t))
	block, blockW := net.Pipe()
	defer blockW.Close()
	done := make(chan error, 1)
	go func() { done <- Stdio(ctx, r.client, "hold", block, io.Discard) }()
	eventually(t, "the connection", func() bool { return len(r.exposer.Streams()) > 0 })
	cause := errors.New("enough")
	cancel(cause)
	if err := wait(t, done, "Stdio's end"); !errors.Is(err, cause) {
		t.Errorf("Stdio = %v, want the context's cause", err)
	}
	// No stream at all.
	ctx2, cancel2 := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel2()
	if err := Stdio(ctx2, &gate{}, "echo", strings.NewReader(""), io.Discard); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no link: %v", err)
	}
}
