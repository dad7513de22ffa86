package tunnel

import "io"

// lender is a source that takes a buffer only when there is something to read:
// thousands of idle connections hold none.
type lender interface {
	// read blocks for the next bytes, which are buf[:n]; buf is not nil if n > 0
	// and is given back to bigBuffers by the caller. An error may come with bytes.
	// While it blocks, bytes may go to take instead, if that is not nil: see
	// mux.Stream.WaitRead.
	read(take func(p []byte) int) (buf *[bigBuffer]byte, n int, err error)
}

// lenderOf returns src as a lender, nil if it cannot be one.
func lenderOf(src io.Reader) lender {
	if w, ok := src.(waitReader); ok {
		return streamLender{w}
	}
	return socketLender(src)
}

// waitReader is a *mux.Stream or a *Conn.
type waitReader interface {
	io.Reader
	WaitRead(take func(p []byte) int) error
}

type streamLender struct{ src waitReader }

func (l streamLender) read(take func(p []byte) int) (*[bigBuffer]byte, int, error) {
	if err := l.src.WaitRead(take); err != nil {
		return nil, 0, err
	}
	buf := bigBuffers.Get().(*[bigBuffer]byte)
	n, err := l.src.Read(buf[:])
	return buf, n, err
}
