package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"culvert/sbrp/api"
)

// refusal is an error that the caller is told.
type refusal struct {
	status  int
	code    string
	message string
	retry   time.Duration
}

func (e *refusal) Error() string { return e.code + ": " + e.message }

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func tooMany(wait time.Duration) *refusal {
	wait = max(wait, time.Second)
	r := refuse(http.StatusTooManyRequests, api.CodeRateLimited, "too many requests of this kind; try again in %s", wait.Round(time.Second))
	r.retry = wait
	return r
}

func invalid(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, api.CodeInvalidRequest, format, args...)
}

func unauthorized(format string, args ...any) *refusal {
	return refuse(http.StatusUnauthorized, api.CodeUnauthorized, format, args...)
}

func forbidden(format string, args ...any) *refusal {
	return refuse(http.StatusForbidden, api.CodeForbidden, format, args...)
}

var daemonNotFound = refuse(http.StatusNotFound, api.CodeDaemonNotFound, "no daemon of that id is yours to reach")

// answerTimeout is when a request that waits for the store is told to come again: a
// little longer than one database may keep another process waiting, and shorter than our
// own clients wait.
const answerTimeout = 15 * time.Second

// answer runs an endpoint and writes what it gives.
func (s *Server) answer(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, api.MaxBody)
		v, err := e(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if raw, ok := v.(document); ok {
			w.Header().Set("Cache-Control", raw.cache)
			s.write(w, http.StatusOK, raw.body)
			return
		}
		w.Header().Set("Cache-Control", "no-store") // tokens and secrets
		if v == nil {
			s.write(w, http.StatusNoContent, nil)
			return
		}
		body, err := json.Marshal(v)
		if err != nil {
			s.fail(w, r, fmt.Errorf("write answer: %w", err))
			return
		}
		s.write(w, http.StatusOK, body)
	})
}

// document is an answer that is JSON already and may be cached.
type document struct {
	body  []byte
	cache string
}

func (s *Server) write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	// By our own clock, since device tokens are held against it.
	h.Set("Date", s.now().UTC().Format(http.TimeFormat))
	h.Set("X-Content-Type-Options", "nosniff")
	if body != nil {
		h.Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller has gone: nobody to tell
}

// fail writes an error. One that is not for the caller becomes a 500 (or a 503
// if the store is busy or away) without its text, and is logged.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*refusal](err)
	if !ok {
		e = s.internal(r, err)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if e.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.retry.Seconds()))))
	}
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if e.status == http.StatusRequestEntityTooLarge {
		h.Set("Connection", "close") // the rest of the body is not read
	}
	body, merr := json.Marshal(api.ErrorBody{Code: e.code, Message: e.message})
	if merr != nil { // two strings always marshal
		body = []byte(`{"code":"internal_error","message":""}`)
	}
	s.write(w, e.status, body)
}

func (s *Server) internal(r *http.Request, err error) *refusal {
	if r.Context().Err() != nil || s.store.dialect.away(err) || errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("request not done in time", "path", r.Pattern, "err", err)
		e := refuse(http.StatusServiceUnavailable, api.CodeUnavailable, "the store is busy or out of reach; try again")
		e.retry = time.Second
		return e
	}
	s.log.Error("request failed", "path", r.Pattern, "err", err)
	return refuse(http.StatusInternalServerError, api.CodeInternal, "the control plane has failed; its log says why")
}

// decode reads a JSON object from the body. Members that are not known are
// ignored, for newer clients. What the caller sent is not repeated.
func decode(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	var raw json.RawMessage
	err := d.Decode(&raw)
	if err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			err = end
			if err == nil {
				err = errInvalid
			}
		}
	}
	if err == nil && raw[0] != '{' {
		return invalid("the body must be a JSON object")
	}
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, api.CodeTooLarge, "the body may have %d bytes at most", api.MaxBody)
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
		return invalid("%s has the wrong type", t.Field)
	}
	if r.Context().Err() != nil {
		return fmt.Errorf("read request: %w", err)
	}
	return invalid("the body must be one JSON object with well-formed fields")
}
