//go:build !linux

package tunnel

import "net"

// unixListenConfig: only Linux takes a mode for a socket that has no name yet.
// Elsewhere the socket has the umask's mode until the chmod that follows the
// bind, some microseconds; put it into a directory of your own if others use
// the machine. On Windows the directory's access list decides.
func unixListenConfig() *net.ListenConfig { return new(net.ListenConfig) }
