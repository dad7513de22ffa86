//go:build !unix

package wsconn

import "net"

// tryWriter does not exist here: a cancelled overlapped write does not say reliably how much it wrote. The callers of
// TryWrite queue instead.
type tryWriter struct{}

func newTryWriter(net.Conn) *tryWriter { return nil }

func (*tryWriter) write([]byte) (int, error)            { panic("wsconn: no non-blocking writes here") }
func (*tryWriter) writeTwo([]byte, []byte) (int, error) { panic("wsconn: no non-blocking writes here") }

// rawReader does not exist here.
type rawReader struct{}

func newRawReader(net.Conn) *rawReader      { return nil }
func (*rawReader) read([]byte) (int, error) { panic("wsconn: no raw reader on this platform") }
