package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"culvert/service"
)

// exitCodes is the table of exit codes in the help text; the README has the same.
const exitCodes = `Exit codes:
   0  done, or ended by SIGINT or SIGTERM
   1  any other failure
   2  wrong words on the command line
  10  configuration or state directory
  11  not logged in, or the key was refused
  20  relay or control plane unreachable
  21  proxy or TLS on the way to it
  22  daemon unknown or offline
  23  refused by the daemon: not authorised, expired, pairing failed
  24  target down or unknown
  25  the daemon's identity changed (never retried)
  26  local address busy or not allowed
  27  hold time over`

// usagef is an error in the words on the command line; mend says what to write instead.
// The arguments must not be secrets: the text is printed.
func usagef(mend, format string, args ...any) error {
	return &service.Error{Code: service.CodeUsage, Name: "usage", Err: fmt.Errorf(format, args...), Mend: mend}
}

// asUsage makes a usage error of what cobra returned before a command began.
func asUsage(err error) error {
	if _, ok := errors.AsType[*service.Error](err); ok {
		return err
	}
	return usagef("culvert help", "%w", err)
}

// errInterrupted is the end of a command that was told to end before it had done its work.
var errInterrupted = &service.Error{Code: service.CodeFailure, Name: "interrupted", Err: errors.New("interrupted")}

// interrupted is the outcome of a command that a signal ended: a command that runs until
// it is told to end has done what was asked, any other has not.
func interrupted(err error, endless bool) error {
	switch {
	case endless && (err == nil || errors.Is(err, context.Canceled)):
		return nil
	case err == nil || errors.Is(err, context.Canceled):
		return errInterrupted
	default:
		return err
	}
}

// wantsJSON looks for --json in words that cobra could not parse to the end.
func wantsJSON(args []string) bool {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return slices.Contains(args, "--json")
}
