package mux

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"culvert/mux/muxtest"
)

// attachedLink is a link on a carrier in memory without goroutines: tests call compose and take themselves.
func attachedLink(t testing.TB) (*link, *attachment) {
	t.Helper()
	l := newLink(linkConfig{
		id: LinkID{1}, log: slog.New(slog.DiscardHandler), budget: NewBudget(0), events: &eventQueue{},
		windowMin: 64 << 10, windowMax: 1 << 20, hold: time.Minute,
	})
	t.Cleanup(func() { l.end(&LinkError{Code: CodeNormal}, false) })
	attempt, _, _, err := l.begin()
	if err != nil {
		t.Fatal(err)
	}
	att, err := l.attach(attempt, muxtest.NewPair(nil).A, 0, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	return l, att
}

// message is what the pump would send now; nil: nothing.
func message(l *link) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.att == nil || !l.sendable() {
		return nil
	}
	return l.compose(l.att, make([]byte, 0, 1<<17))
}

// recordsOf lists the records of a message.
func recordsOf(t *testing.T, msg []byte) (all []record) {
	t.Helper()
	for len(msg) > 0 {
		r, rest, err := parseRecord(msg)
		if err != nil {
			t.Fatalf("our own message %x: %v", msg, err)
		}
		all = append(all, r)
		msg = rest
	}
	return all
}

func dataAt(offset uint64, p string) []byte { return append(appendDataHeader(nil, offset), p...) }

func TestNonsenseEndsTheLink(t *testing.T) {
	tests := []struct {
		name string
		msg  []byte
		want string
	}{
		{"acknowledges what was not sent", appendAck(nil, 11, 0), "acknowledged up to 11"},
		{"asks for what was not sent", appendSync(nil, 1, 11, 0), "acknowledged up to 11"},
		{"answers for what was not sent", appendProbeAck(nil, 1, 11), "acknowledged up to 11"},
		{"data beyond the limit", dataAt(64<<10, "x"), "beyond the limit"},
		{"unknown record", []byte{0x66}, "unknown record"},
		{"torn record", []byte{recAck, 1}, "instead of 17"},
		{"nonsense behind sense", append(appendAck(nil, 1, 1), 0), "unknown record 0x00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, att := attachedLink(t)
			_ = l.append([]byte("0123456789"), nil, 0)
			message(l)
			if data, err := l.take(att, tt.msg); len(data) != 0 || err != nil {
				t.Errorf("took %q, %v", data, err)
			}
			err := l.err()
			if !errors.Is(err, ErrProtocol) || !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("link ended with %v, want a breach: %q", err, tt.want)
			}
			msg := message(l)
			if r := recordsOf(t, msg); len(r) != 1 || r[0].typ != recClose || r[0].code != CodeProtocol {
				t.Errorf("the peer is told %x, want CLOSE alone", msg)
			}
		})
	}
}

func TestAcknowledgementsRelease(t *testing.T) {
	l, att := attachedLink(t)
	_ = l.append([]byte("0123456789"), nil, 0)
	r := recordsOf(t, message(l))
	if last := r[len(r)-1]; last.typ != recData || string(last.data) != "0123456789" || last.offset != 0 {
		t.Fatalf("sent %+v", r)
	}
	if msg := message(l); msg != nil {
		t.Fatalf("sent %x for nothing", msg)
	}
	_, _ = l.take(att, appendSync(nil, 1, 4, 64<<10))
	r = recordsOf(t, message(l))
	if last := r[len(r)-1]; string(last.data) != "456789" || last.offset != 4 {
		t.Errorf("after SYNC from 4: sent %+v", r)
	}
	_, _ = l.take(att, appendSync(nil, 1, 4, 64<<10)) // the same again, duplicated or late
	if msg := message(l); msg != nil {
		t.Errorf("after an old SYNC: sent %x", msg)
	}
	_, _ = l.take(att, appendAck(nil, 10, 64<<10))
	_, _ = l.take(att, appendAck(nil, 3, 0)) // came late
	if s := l.status(); s.Buffered != 0 {
		t.Errorf("%d bytes kept after all was acknowledged", s.Buffered)
	}
	if l.budget.Used() != 0 {
		t.Errorf("%d bytes of the budget taken", l.budget.Used())
	}
}

func TestReceiverTrimsAndAsks(t *testing.T) {
	l, att := attachedLink(t)
	message(l)
	want := func(msg []byte, want string) {
		t.Helper()
		if got, err := l.take(att, msg); string(got) != want || err != nil {
			t.Fatalf("take %q: got %q, %v, want %q", msg, got, err, want)
		}
	}
	want(dataAt(0, "abc"), "abc")
	want(dataAt(0, "abc"), "")
	want(dataAt(1, "bcde"), "de")
	want(dataAt(5, ""), "")
	want(dataAt(9, "xyz"), "")
	r := recordsOf(t, message(l))
	if r[0].typ != recSync || r[0].received != 5 || r[0].epoch != 1 {
		t.Fatalf("a gap is answered by %+v", r)
	}
	want(dataAt(9, "xyz"), "")
	if msg := message(l); msg != nil {
		t.Errorf("the gap is reported twice at once: %x", msg)
	}
	want(dataAt(5, "fghi"), "fghi")
	want(dataAt(9, "xyz"), "xyz")
}

func TestProbeFindsLostTail(t *testing.T) {
	l, att := attachedLink(t)
	message(l)
	if _, err := l.take(att, appendProbe(nil, 7, 5)); err != nil {
		t.Fatal(err)
	}
	var types []byte
	for _, r := range recordsOf(t, message(l)) {
		types = append(types, r.typ)
	}
	if string(types) != string([]byte{recSync, recProbeAck}) {
		t.Errorf("a PROBE from beyond is answered by %x, want SYNC and PROBE_ACK", types)
	}
}

func TestOffsetsClaimedOnResume(t *testing.T) {
	l, att := attachedLink(t)
	_ = l.append([]byte("0123456789"), nil, 0)
	message(l)
	_, _ = l.take(att, appendAck(nil, 4, 64<<10))
	for received, ok := range map[uint64]bool{3: false, 4: true, 10: true, 11: false} {
		if err := l.accepts(received); (err == nil) != ok {
			t.Errorf("peer claims %d of [4, 10]: %v", received, err)
		}
	}
}

func TestOldCarrierIsNotHeard(t *testing.T) {
	l, old := attachedLink(t)
	attempt, _, _, err := l.begin()
	if err != nil {
		t.Fatal(err)
	}
	if data, err := l.take(old, dataAt(0, "late")); len(data) != 0 || err != nil {
		t.Errorf("took %q, %v from a replaced carrier", data, err)
	}
	if _, _, _, err := l.begin(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.attach(attempt, muxtest.NewPair(nil).A, 0, 0); !errors.Is(err, ErrReplaced) {
		t.Errorf("attach of the older of two: %v, want ErrReplaced", err)
	}
}

type slowErr struct{ error }

func (slowErr) Backpressure() bool { return true }

func TestBackpressureHalvesTheWindow(t *testing.T) {
	l, att := attachedLink(t)
	l.mu.Lock()
	l.window = 1 << 20
	l.mu.Unlock()
	l.detach(att, errors.Join(os.ErrClosed, nil))
	if l.windowMax != 1<<20 {
		t.Errorf("an ordinary end changes the largest window to %d", l.windowMax)
	}
	l, att = attachedLink(t)
	l.mu.Lock()
	l.window = 1 << 20
	l.mu.Unlock()
	l.detach(att, slowErr{errors.New("backpressure")})
	if l.windowMax != 512<<10 || l.window != 512<<10 {
		t.Errorf("after back pressure: window %d of at most %d, want half of 1 MiB", l.window, l.windowMax)
	}
}
