package tunnel

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// The preface of a stream (architecture, section 4):
//
//	client to daemon   version u8, kind u8, length u16, target (measure: its name)
//	daemon to client   status u8, length u16, text
//
// A kind that a daemon does not know is answered unsupported.
const (
	prefaceVersion = 0x01 // the only one so far
	requestHeader  = 4
	answerHeader   = 3
)

// Kind says what a client wants of a target.
type Kind uint8

// The kinds of a request.
const (
	KindConnect Kind = 0x01 // connect and carry bytes
	KindCheck   Kind = 0x02 // ask the grant, dial, close, answer
	KindMeasure Kind = 0x03 // no target: a Measure, served by the daemon itself
)

// String is for logs.
func (k Kind) String() string {
	switch k {
	case KindConnect:
		return "connect"
	case KindCheck:
		return "check"
	case KindMeasure:
		return "measure"
	default:
		return fmt.Sprintf("0x%02x", uint8(k))
	}
}

// request is what a client asks.
type request struct {
	kind   Kind
	target string
}

// answer is what a daemon says to it.
type answer struct {
	status Status
	text   string
}

// unsupportedError: a preface that this version does not understand. Its text
// is told to the client.
type unsupportedError struct{ text string }

func (e *unsupportedError) Error() string { return e.text }

func unsupported(format string, args ...any) error {
	return &unsupportedError{text: fmt.Sprintf(format, args...)}
}

// appendRequest panics on a target that is too long: callers have checked it.
func appendRequest(b []byte, r request) []byte {
	if len(r.target) > maxTarget {
		panic("tunnel: target too long")
	}
	b = append(b, prefaceVersion, byte(r.kind))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.target)))
	return append(b, r.target...)
}

// readRequest reads exactly one request from r, so that what follows is the
// connection's data. An *unsupportedError is to be answered; other errors are
// r's. Order of checks: version, kind, length, target.
func readRequest(r io.Reader) (request, error) {
	var head [requestHeader]byte
	// The version comes first and alone: what follows it in another version
	// may be shorter than our header.
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return request{}, fmt.Errorf("read stream preface: %w", err)
	}
	if head[0] != prefaceVersion {
		return request{}, unsupported("stream version %d; this daemon speaks %d", head[0], prefaceVersion)
	}
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return request{}, fmt.Errorf("read stream preface: %w", noEOF(err))
	}
	req := request{kind: Kind(head[1])}
	n := int(binary.BigEndian.Uint16(head[2:]))
	switch {
	case req.kind < KindConnect || req.kind > KindMeasure:
		return request{}, unsupported("stream kind %s is not known to this daemon", req.kind)
	case n > maxTarget:
		return request{}, unsupported("a target of %d bytes; the limit is %d", n, maxTarget)
	}
	target := make([]byte, n)
	if _, err := io.ReadFull(r, target); err != nil {
		return request{}, fmt.Errorf("read stream preface: %w", noEOF(err))
	}
	req.target = string(target)
	if err := CheckRef(req.target); err != nil {
		return request{}, unsupported("not a target: %v", err)
	}
	return req, nil
}

// appendAnswer cuts a text that is too long.
func appendAnswer(b []byte, a answer) []byte {
	text := a.text
	if len(text) > maxStatusText {
		text = strings.ToValidUTF8(text[:maxStatusText], "")
	}
	b = append(b, byte(a.status))
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

// readAnswer reads exactly one answer from r.
func readAnswer(r io.Reader) (answer, error) {
	var head [answerHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return answer{}, fmt.Errorf("read daemon's answer: %w", noEOF(err))
	}
	n := int(binary.BigEndian.Uint16(head[1:]))
	if n > maxStatusText {
		return answer{}, fmt.Errorf("read daemon's answer: a text of %d bytes, the limit is %d", n, maxStatusText)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return answer{}, fmt.Errorf("read daemon's answer: %w", noEOF(err))
	}
	return answer{status: Status(head[0]), text: string(text)}, nil
}

// noEOF makes an end inside a message an error of its own: io.EOF means that a
// connection has ended as it should.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
