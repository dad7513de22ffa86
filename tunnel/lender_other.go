//go:build !unix

package tunnel

import "io"

// socketLender returns nil: a socket here is read only into a buffer that it
// keeps meanwhile.
func socketLender(io.Reader) lender { return nil }

// socketWriter returns dst.
func socketWriter(dst io.Writer) io.Writer { return dst }
