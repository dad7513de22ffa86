package service

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"culvert/mux"
	"culvert/sbrp"
	"culvert/sbrp/endpoint"
)

// reasonText says in a few words why a path or a link is gone; the whole chain of errors
// is in the log.
func reasonText(err error) string {
	if err == nil {
		return ""
	}
	if le, ok := errors.AsType[*mux.LinkError](err); ok {
		return le.Error()
	}
	if ce, ok := errors.AsType[*sbrp.ControlError](err); ok {
		return words(ce.Code)
	}
	if se, ok := errors.AsType[*sbrp.Error](err); ok {
		return words(se.Code)
	}
	if _, ok := errors.AsType[*endpoint.SilenceError](err); ok {
		return "relay silent"
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return "relay lost"
	}
	switch {
	case errors.Is(err, mux.ErrPathDown):
		return "daemon's connection to the relay lost"
	case errors.Is(err, mux.ErrCarrierDead):
		return "no answer from the other end"
	case errors.Is(err, mux.ErrReplaced):
		return "moved to a new path"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "relay lost"
	case errors.Is(err, context.Canceled):
		return "ending"
	}
	return err.Error()
}

// words is a code for people: daemon_offline is "daemon offline".
func words(c sbrp.Code) string { return strings.ReplaceAll(c.String(), "_", " ") }
