package service

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"culvert/mux"
	"culvert/sbrp"
	"culvert/sbrp/api"
	"culvert/sbrp/e2ee"
	"culvert/sbrp/endpoint"
)

// hello is a HELLO record by hand.
type hello struct {
	Version  int        `json:"version"`
	Key      []byte     `json:"key"`
	Link     mux.LinkID `json:"link,omitzero"`
	Attempt  uint64     `json:"attempt"`
	Received uint64     `json:"received"`
	Limit    uint64     `json:"limit"`
	Pairing  []byte     `json:"pairing,omitempty"`
}

// record is HELLO, signed for a session.
func (h hello) record(transcript [32]byte, id *e2ee.Identity) []byte {
	body, err := json.Marshal(h)
	if err != nil {
		panic(err) // numbers and bytes
	}
	return signedHello(transcript, id, body)
}

// signedHello is a HELLO record whose JSON is anything.
func signedHello(transcript [32]byte, id *e2ee.Identity, body []byte) []byte {
	msg := append(append([]byte("culvert-link-v1"), transcript[:]...), body...)
	return append(append([]byte{1}, id.SignMessage(msg)...), body...)
}

// intruder is a machine with a valid token and a session with the daemon, made by whoever can make tokens.
type intruder struct {
	a       *arena
	m       *machine
	session *endpoint.Session
}

func (a *arena) intruder(machine string) *intruder {
	a.t.Helper()
	c := stranger(a.t, a.world, machine)
	s, err := c.dial(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = s.Close("") }) // ended already, mostly
	return &intruder{a, c.m, s}
}

// send sends records as they are.
func (i *intruder) send(msg []byte) error {
	head, tail, _ := i.session.Overhead()
	buf := make([]byte, head+len(msg), head+len(msg)+tail)
	copy(buf[head:], msg)
	return i.session.Send(buf)
}

// answer is the daemon's next message: a refusal as an error, or the fields of WELCOME. nil fields: another record.
func (i *intruder) answer() (map[string]any, error) {
	head, tail, most := i.session.Overhead()
	msg, err := i.session.Receive(make([]byte, head+most+tail))
	if err != nil {
		return nil, err
	}
	var f map[string]any
	if len(msg) > 1 && (msg[0] == 2 || msg[0] == 3) {
		if err := json.Unmarshal(msg[1:], &f); err != nil {
			return nil, err
		}
	}
	if len(msg) > 0 && msg[0] == 3 {
		return nil, &mux.RefusedError{Code: mux.Refusal(f["code"].(string)), Text: fmt.Sprint(f["text"])}
	}
	return f, nil
}

// say sends HELLO as the adversary signs it and returns the answer.
func (i *intruder) say(h hello, transcript [32]byte, by *e2ee.Identity) (map[string]any, error) {
	if err := i.send(h.record(transcript, by)); err != nil {
		return nil, err
	}
	return i.answer()
}

// own is a HELLO in the adversary's own name.
func (i *intruder) own() hello { return i.as(i.m.identity.PublicKey()) }

func (i *intruder) as(key sbrp.PublicKey) hello {
	return hello{Version: 1, Key: key[:], Attempt: 1, Limit: 1 << 20}
}

// grant lets the adversary's machine reach a target: a client that the owner trusts, and should not.
func (a *arena) grant(machine, target string) {
	m, err := openMachine(a.t.Context(), a.common(machine))
	if err != nil {
		a.t.Fatal(err)
	}
	defer m.close()
	_, err = Grant(a.t.Context(), GrantOptions{Common: a.common("daemon"), Client: m.identity.PublicKey().String(), Name: machine, Targets: []string{target}})
	if err != nil {
		a.t.Fatal(err)
	}
}

// besides opens an honest conversation, has the other client act, and goes on with it. It returns what the other one's act does.
func (a *arena) besides(act func(honest *conversation) error) error {
	c, err := a.open(DialerOptions{})
	if err != nil {
		return err
	}
	if err := c.talk(); err != nil {
		return err
	}
	acted := act(c)
	for range 2 {
		if err := c.talk(); err != nil {
			a.t.Errorf("the honest connection: %v", err)
		}
	}
	if err := c.end(); err != nil {
		a.t.Errorf("the honest client: %v", err)
	}
	return acted
}

func (i *intruder) key() []byte {
	key := i.m.identity.PublicKey()
	return key[:]
}

// hellos says each of these in a session of its own, well signed, and returns what the daemon answers, which must be one thing.
func (a *arena) hellos(bodies func(*intruder) []string) error {
	i := a.intruder("mallory")
	var errs []error
	for n, body := range bodies(i) {
		if n > 0 {
			i = a.intruderAgain(i)
		}
		if err := i.send(signedHello(i.session.Transcript(), i.m.identity, []byte(body))); err != nil {
			return err
		}
		_, err := i.answer()
		errs = append(errs, err)
	}
	return same(errs...)
}

// clientThreats are those of a client that has a token, or even a grant.
func clientThreats() []threat {
	const client, token = "client", "client with a valid token"
	return []threat{
		{who: token, does: "connects", code: CodeRefused, name: "not_authorized", then: "the daemon asks its own list", act: func(a *arena) error {
			a.login("mallory", "client")
			return a.call(DialerOptions{Common: a.common("mallory"), Once: true, Trust: TrustFirstUse})
		}},
		{who: token, does: "sends HELLO with a trusted client's key, signed by its own", code: CodeRefused, name: "invalid", then: "the key is not proved", act: func(a *arena) error {
			i := a.intruder("mallory")
			_, err := i.say(i.as(a.clientIdentity().PublicKey()), i.session.Transcript(), i.m.identity)
			return err
		}},
		{who: token, does: "replays a trusted client's HELLO of another session", code: CodeRefused, name: "invalid", then: "its signature is over the session", act: func(a *arena) error {
			i, other := a.intruder("mallory"), a.intruder("mallory2")
			_, err := i.say(i.as(a.clientIdentity().PublicKey()), other.session.Transcript(), a.clientIdentity())
			return err
		}},
		{who: token, does: "says HELLO of another version (none, 0, 2, 99)", code: CodeRefused, name: "version", then: "no other is spoken", act: func(a *arena) error {
			return a.hellos(func(i *intruder) []string {
				key := base64.StdEncoding.EncodeToString(i.key())
				return []string{`{"key":"` + key + `"}`, `{"version":0,"key":"` + key + `"}`, `{"version":2,"key":"` + key + `"}`, `{"version":99,"key":"` + key + `"}`, `{}`}
			})
		}},
		{who: token, does: "says HELLO without its key or its JSON, or with fields of other kinds", code: CodeRefused, name: "invalid", then: "nothing is taken for granted", act: func(a *arena) error {
			return a.hellos(func(i *intruder) []string {
				key := base64.StdEncoding.EncodeToString(i.key())
				return []string{`{"version":1}`, `{"version":1,"key":"AAAA"}`, ``, `[]`, `{"version":"1"}`, `{"version":1,"key":"` + key + `","hold_ms":-1}`, `{"version":1,"key":"` + key + `","link":"x"}`, `{"version":1,"key":"` + key}
			})
		}},
		{who: token, does: "begins without HELLO: with DATA, SYNC, ACK, CLOSE", then: "nothing is taken before HELLO; that session ends", act: func(a *arena) error {
			return a.besides(func(*conversation) error {
				for n, typ := range []byte{0x10, 0x12, 0x11, 0x1f} {
					i := a.intruder(fmt.Sprint("mallory", n))
					if err := i.send(append([]byte{typ}, make([]byte, 24)...)); err != nil {
						return err
					}
					if _, err := i.answer(); err == nil {
						return fmt.Errorf("the daemon has answered record %#x", typ)
					}
				}
				return nil
			})
		}},
		{who: token, does: "names a trusted client's link in its own HELLO", code: CodeRefused, name: "not_authorized", then: "the link is not touched", act: func(a *arena) error {
			return a.besides(func(honest *conversation) error {
				i := a.intruder("mallory")
				h := i.own()
				w, _ := honest.d.link.client.link.Welcome()
				h.Link, h.Attempt = w.LinkID, 99
				_, err := i.say(h, i.session.Transcript(), i.m.identity)
				return err
			})
		}},
		{who: "client with a grant", does: "names another client's link in its HELLO", clients: []string{"mallory"}, then: "gets a link of its own; the other's is not touched", act: func(a *arena) error {
			return a.besides(func(honest *conversation) error {
				i := a.intruder("mallory")
				a.grant("mallory", "nothing")
				h := i.own()
				w, _ := honest.d.link.client.link.Welcome()
				h.Link, h.Attempt = w.LinkID, 99
				f, err := i.say(h, i.session.Transcript(), i.m.identity)
				if err == nil && (f["resumed"] == true || f["link"] == w.LinkID.String()) {
					err = fmt.Errorf("WELCOME says %v", f)
				}
				return err
			})
		}},
		{who: "client with a grant", does: "lies about offsets: resumes its own link from where nothing was sent", clients: []string{"mallory"}, then: "that link ends; a new one begins", act: func(a *arena) error {
			return a.besides(func(*conversation) error {
				i := a.intruder("mallory")
				a.grant("mallory", "nothing")
				first, err := i.say(i.own(), i.session.Transcript(), i.m.identity)
				if err != nil {
					return err
				}
				again := a.intruderAgain(i)
				h := again.own()
				if err := h.Link.UnmarshalText([]byte(first["link"].(string))); err != nil {
					return err
				}
				h.Attempt, h.Received = 2, math.MaxUint64>>1
				f, err := again.say(h, again.session.Transcript(), again.m.identity)
				if err == nil && (f["resumed"] == true || f["link"] == first["link"]) {
					err = fmt.Errorf("WELCOME says %v", f)
				}
				return err
			})
		}},
		{who: "client with a grant", does: "sends more than it may, at offsets that wrap round, and records that there are not", clients: []string{"mallory"}, then: "its own link ends, no other", act: func(a *arena) error {
			return a.besides(func(*conversation) error {
				i := a.intruder("mallory")
				a.grant("mallory", "nothing")
				data := func(offset uint64) []byte {
					return append(binary.BigEndian.AppendUint64([]byte{0x10}, offset), make([]byte, 100)...)
				}
				for n, msg := range [][]byte{data(1 << 40), data(math.MaxUint64 - 1), {0x77}, {}, {0x11}, {0x12, 1}} {
					if n > 0 {
						i = a.intruderAgain(i)
					}
					if _, err := i.say(i.own(), i.session.Transcript(), i.m.identity); err != nil {
						return err
					}
					if err := i.send(msg); err != nil {
						return err
					}
					for err := error(nil); err == nil; {
						_, err = i.answer() // until the daemon has ended it
					}
				}
				return nil
			})
		}},
		{who: "client with a grant", does: "asks for a target that it is not granted", code: CodeRefused, name: "denied", clients: []string{"mallory"}, then: "and does not learn whether there is one", act: func(a *arena) error {
			a.login("mallory", "client")
			a.grant("mallory", "nothing")
			return a.call(DialerOptions{Common: a.common("mallory"), Once: true, Trust: TrustFirstUse})
		}},
		{who: client, does: "was revoked, and keeps its connection", code: CodeRefused, name: "not_authorized", clients: nil, then: "dropped at once", act: func(a *arena) error {
			a.login("mallory", "client")
			a.grant("mallory", "prog")
			c, err := a.open(DialerOptions{Common: a.common("mallory"), Trust: TrustFirstUse})
			if err != nil {
				return err
			}
			if err := c.talk(); err != nil {
				return err
			}
			if _, err := Revoke(a.t.Context(), a.common("daemon"), "mallory"); err != nil {
				return err
			}
			if err := c.talk(); err == nil {
				return errors.New("the connection goes on")
			}
			return c.ended()
		}},
		{who: client, does: "comes when its grant has expired", code: CodeRefused, name: "expired", clients: []string{"mallory"}, then: "as if revoked", act: func(a *arena) error {
			a.login("mallory", "client")
			m, err := openMachine(a.t.Context(), a.common("mallory"))
			if err != nil {
				return err
			}
			defer m.close()
			_, err = Grant(a.t.Context(), GrantOptions{Common: a.common("daemon"), Client: m.identity.PublicKey().String(), Name: "mallory", Targets: []string{"prog"}, For: time.Nanosecond})
			if err != nil {
				return err
			}
			return a.call(DialerOptions{Common: a.common("mallory"), Once: true, Trust: TrustFirstUse})
		}},
		{who: "client that has seen a pairing's lookup", does: "redeems it before the guest does, with a proof of its own", code: CodeRefused, name: "pairing_failed", then: "it does not know the code; the guest is told pairing_not_found", act: func(a *arena) error {
			code, err := MakePairing(a.t.Context(), PairOptions{Common: a.common("daemon")})
			if err != nil {
				return err
			}
			m, err := openMachine(a.t.Context(), a.common("mallory"))
			if err != nil {
				return err
			}
			defer m.close()
			cl, _, err := m.controlPlane(a.relay.URL, "")
			if err != nil {
				return err
			}
			session, err := cl.RedeemPairing(a.t.Context(), code.lookup)
			if err != nil {
				return err
			}
			_, got := m.pairWith(a.t.Context(), pairing{session: session, baseURL: a.relay.URL}) // psk: zeros
			_, err = RedeemPairing(a.t.Context(), RedeemOptions{Common: a.common("guest"), Code: code.Code, URL: a.relay.URL})
			if e := classify(err); e == nil || e.Name != api.CodePairingNotFound {
				return fmt.Errorf("the guest: %w", err)
			}
			return got
		}},
	}
}

// intruderAgain is a second session of the same machine.
func (a *arena) intruderAgain(before *intruder) *intruder {
	a.t.Helper()
	c, err := newClient(before.m, clientOptions{daemon: "daemon", sink: func(Event) {}})
	if err != nil {
		a.t.Fatal(err)
	}
	s, err := c.dial(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = s.Close("") }) // ended already, mostly
	return &intruder{a, before.m, s}
}

// clientIdentity is the honest client's device key: a stand-in for what it has signed elsewhere.
func (a *arena) clientIdentity() *e2ee.Identity {
	m, err := openMachine(a.t.Context(), a.common("client"))
	if err != nil {
		a.t.Fatal(err)
	}
	defer m.close()
	return m.identity
}

// ended waits until the client ends by itself and returns why.
func (c *conversation) ended() error {
	ctx, cancel := context.WithTimeout(c.a.t.Context(), testTimeout)
	defer cancel()
	select {
	case <-c.d.over:
		return c.d.err
	case <-ctx.Done():
		return fmt.Errorf("the client goes on: %w", ctx.Err())
	}
}
