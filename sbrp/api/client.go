package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Paths of the endpoints.
const (
	PathDevices  = "/api/devices"
	PathDaemons  = "/api/daemons"
	PathRegister = "/api/daemons/register"
	PathPresence = "/api/daemons/presence"
	PathSessions = "/api/sessions"
	PathPairings = "/api/pairings"
	PathRedeem   = "/api/pairings/redeem"
	PathKeys     = "/api/keys"
)

// Limits of a request.
const (
	MaxBody        = 16 << 10         // bytes that a server takes
	maxResponse    = 4 << 20          // bytes that a client takes: a list of some 15,000 daemons
	requestTimeout = 20 * time.Second // over connecting, proxy, TLS and answer; the caller's context may end it sooner
	maxRedirects   = 3
	maxRetryAfter  = time.Hour // a server cannot send us away for longer
)

// Config configures a [Client].
type Config struct {
	BaseURL   string           // required: see CheckBaseURL, which is the caller's to ask about plain http
	Key       crypto.Signer    // device key, Ed25519; nil: only what needs no device works
	HTTP      *http.Client     // nil: http.DefaultTransport. Its Transport, Jar and Timeout are used
	UserAgent string           // empty: culvert
	Now       func() time.Time // nil: time.Now
}

// Client calls a control plane. Its methods block until the answer is there, 20 s
// have passed or the context ends; they may run concurrently. It starts no goroutine.
type Client struct {
	origin    string
	key       crypto.Signer
	http      *http.Client
	userAgent string
	now       func() time.Time
}

// NewClient makes a client. Nothing is sent yet.
func NewClient(cfg Config) (*Client, error) {
	origin, err := Origin(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	if cfg.Key != nil {
		if _, err := devicePublicKey(cfg.Key); err != nil {
			return nil, err
		}
	}
	c := &Client{
		origin:    origin,
		key:       cfg.Key,
		userAgent: cmp.Or(cfg.UserAgent, "culvert"),
		now:       cfg.Now,
	}
	if c.now == nil {
		c.now = time.Now
	}
	client := http.Client{}
	if cfg.HTTP != nil {
		client = *cfg.HTTP
	}
	client.CheckRedirect = followSameOrigin
	c.http = &client
	return c, nil
}

// followSameOrigin stops at a redirect to another host or scheme: a device token
// and an API key go where the user said, and nowhere else.
func followSameOrigin(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme || req.Method != via[0].Method {
		return http.ErrUseLastResponse
	}
	return nil
}

// auth puts credentials on a request.
type auth func(c *Client, h http.Header) error

func asNobody(*Client, http.Header) error { return nil }

func asDevice(c *Client, h http.Header) error {
	raw, err := SignDeviceToken(c.key, c.origin, c.now())
	if err != nil {
		return err
	}
	h.Set("Authorization", "Bearer "+raw)
	return nil
}

func bearer(secret string) auth {
	return func(_ *Client, h http.Header) error {
		secret = strings.TrimSpace(secret)
		for i := range len(secret) { // net/http's own error would repeat the value
			if secret[i] <= ' ' || secret[i] > '~' {
				return errors.New("use API key: it has characters that no API key has")
			}
		}
		if secret == "" {
			return errors.New("use API key: it is empty")
		}
		h.Set("Authorization", "Bearer "+secret)
		return nil
	}
}

// call sends in (nil: no body) and reads the answer into out (nil: not wanted).
func (c *Client) call(ctx context.Context, method, path string, as auth, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := c.request(ctx, method, path, as, in)
	if err != nil {
		return fmt.Errorf("call control plane: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("call control plane at %s: %w", c.origin, withoutURL(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return fmt.Errorf("read answer of control plane at %s: %w", c.origin, withoutURL(err))
	}
	if len(body) > maxResponse {
		return &Error{Status: resp.StatusCode, Code: CodeUnexpectedResponse, Message: fmt.Sprintf("the answer is over %d bytes", maxResponse)}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return c.refusal(resp, body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil || !isJSON(resp) {
		return &Error{Status: resp.StatusCode, Code: CodeUnexpectedResponse, Message: "the answer is not what a culvert control plane says; is " + c.origin + " one?"}
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, as auth, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.origin+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	return req, as(c, req.Header)
}

// withoutURL takes the URL out of net/http's error: a path may hold a pairing
// lookup, and the origin is said already. What lies inside stays for errors.As.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// refusal makes an Error of an answer that is none of the good ones.
func (c *Client) refusal(resp *http.Response, body []byte) error {
	e := &Error{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		e.Code = CodeRedirected
		e.Message = "it redirects"
		if to, err := resp.Location(); err == nil {
			e.Message = "it redirects to " + to.Scheme + "://" + to.Host + "; if that is right, use that URL"
		}
		return e
	}
	var b ErrorBody
	if !isJSON(resp) || json.Unmarshal(body, &b) != nil || !isCode(b.Code) {
		e.Code = CodeUnexpectedResponse
		e.Message = "no culvert control plane answers like this; is " + c.origin + " one, and does nothing stand in between?"
		return e
	}
	e.Code, e.Message = b.Code, b.Message
	return e
}

func isJSON(resp *http.Response) bool {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

// isCode keeps a hostile server from putting text where a word is printed bare.
func isCode(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// retryAfter reads seconds; the other form, a date, is not ours.
func retryAfter(s string) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n <= 0 {
		return 0
	}
	return min(time.Duration(min(n, int(maxRetryAfter/time.Second)))*time.Second, maxRetryAfter)
}
