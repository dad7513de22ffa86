package tunnel

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"culvert/mux"
)

// Measure is what a stream of [KindMeasure] does. The daemon itself is its other end: no
// target is dialled. It stands where a connection's preface has the target.
//
//	echo     the daemon sends back what comes
//	source   the client sends u64, the daemon that many bytes
//	sink     the daemon takes what comes and sends u64, how many bytes that were so far: ten
//	         times a second, and at the end of data
type Measure string

// The measures.
const (
	MeasureEcho   Measure = "echo"
	MeasureSource Measure = "source"
	MeasureSink   Measure = "sink"
)

const (
	// maxMeasures bounds the measuring streams of all clients at a daemon; more are answered
	// busy. One `culvert bench` has two at a time. The README tells the numbers.
	maxMeasures = 8
	// measureTimeout bounds one measuring stream; so does MaxMeasured, in bytes each way.
	measureTimeout = 90 * time.Second
	// MaxMeasured is the most that a daemon moves for one measurement, in bytes each way.
	MaxMeasured = 64 << 30
	// measureChunk is what source and sink move at a time, in bytes.
	measureChunk = 64 << 10
	// sinkInterval is how often a sink says how much has come.
	sinkInterval = 100 * time.Millisecond
)

// measure serves a measuring stream until the client has ended it. It is for clients that
// may reach some target: a link alone, such as one whose grant has just expired, is not
// enough.
func (s *serving) measure(l *live, stream *mux.Stream, what Measure) {
	l.info.Target, l.info.Measure = "", what
	s.e.live.add(l)
	defer s.e.live.remove(l)
	var run func(*live, *mux.Stream) error
	switch what {
	case MeasureEcho:
		run = serveEcho
	case MeasureSource:
		run = serveSource
	case MeasureSink:
		run = serveSink
	default:
		s.refuse(l, stream, answer{StatusUnsupported, "this measure is not known to this daemon"}, nil)
		return
	}
	if len(s.e.Allowed(l.info.Client)) == 0 {
		s.refuse(l, stream, answer{StatusDenied, "not_authorized"}, nil)
		return
	}
	select {
	case s.e.measures <- struct{}{}:
		defer func() { <-s.e.measures }()
	default:
		s.refuse(l, stream, answer{StatusBusy, "too many measurements under way at the daemon"}, nil)
		return
	}
	_ = stream.SetDeadline(time.Now().Add(measureTimeout)) // an ended stream says so on writing
	_, err := stream.Write(appendAnswer(nil, answer{status: StatusOK}))
	if err == nil {
		err = run(l, stream)
	}
	s.e.log.Debug("measurement ended", "client", s.peer.Name, "measure", string(what), "in", l.in.Load(), "out", l.out.Load(), "err", err)
	if err == nil {
		err = stream.CloseWrite()
	}
	for buf := make([]byte, 4<<10); err == nil; { // until the client has taken all of it
		_, err = stream.Read(buf)
	}
	_ = stream.Reset() // ended already, unless the client did not close in time
}

// errMeasured ends a measurement that has moved all it may.
var errMeasured = errors.New("too many bytes for one measurement")

func serveEcho(l *live, stream *mux.Stream) error {
	buf := make([]byte, 4<<10)
	for {
		n, err := stream.Read(buf)
		if n > 0 {
			if l.in.Add(int64(n)) > MaxMeasured {
				return errMeasured
			}
			if _, err := stream.Write(buf[:n]); err != nil {
				return err
			}
			l.out.Add(int64(n))
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func serveSource(l *live, stream *mux.Stream) error {
	var wanted [8]byte
	if _, err := io.ReadFull(stream, wanted[:]); err != nil {
		return err
	}
	return writeNoise(stream, min(binary.BigEndian.Uint64(wanted[:]), MaxMeasured), func(n int) { l.out.Add(int64(n)) })
}

func serveSink(l *live, stream *mux.Stream) error {
	buf := make([]byte, measureChunk)
	end := time.Now().Add(measureTimeout)
	next := time.Now().Add(sinkInterval)
	_ = stream.SetReadDeadline(next) // an ended stream says so on reading
	for {
		n, err := stream.Read(buf)
		total := l.in.Add(int64(n))
		now := time.Now()
		silent := errors.Is(err, os.ErrDeadlineExceeded)
		switch {
		case total > MaxMeasured:
			return errMeasured
		case err != nil && err != io.EOF && !silent:
			return err
		case silent && now.After(end):
			return err
		case err == nil && now.Before(next):
			continue
		}
		if _, werr := stream.Write(binary.BigEndian.AppendUint64(nil, uint64(total))); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		next = now.Add(sinkInterval)
		_ = stream.SetReadDeadline(next) // as above
	}
}

// noise is what is sent to measure throughput: nothing on the way could make less of it.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 0, measureChunk)
	for len(b) < measureChunk {
		b = binary.NativeEndian.AppendUint64(b, rand.Uint64())
	}
	return b
})

// writeNoise writes so many bytes and tells of each part.
func writeNoise(w io.Writer, left uint64, wrote func(int)) error {
	for left > 0 {
		n, err := w.Write(noise()[:min(left, measureChunk)])
		wrote(n)
		if err != nil {
			return err
		}
		left -= uint64(n)
	}
	return nil
}
