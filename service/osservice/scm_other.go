//go:build !windows

package osservice

import (
	"context"
	"io"
)

// Run is for Windows: elsewhere a service is a process like any other, and handled is false.
func Run(func(ctx context.Context, log io.Writer) int) (code int, handled bool) { return 0, false }
