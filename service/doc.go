// Package service is the long-running process of each part of culvert: it composes the
// relay and control plane, the daemon's exposing side and the client's forwarding side
// from the packages below, and serves the local admin socket through which commands talk
// to a running process.
//
// It is also what a Go program embeds: [Expose] makes it a daemon, [Forward] binds local
// addresses, and a [Dialer] connects without any. [Common.StateDir] is where the program's
// device key, pins and grants are; [culvert/config.StateDir] finds that of the command line,
// which may be used at the same time.
//
// Every long-running function blocks until its context ends or something happens that
// cannot heal by itself, and returns when all that it started has ended. Progress is told
// through a [Sink] of [Event] values, which are also the lines of --json. Errors that
// leave this package are [*Error] values: they carry the exit code and what to do next.
package service
