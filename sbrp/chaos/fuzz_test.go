package chaos

import (
	"encoding/base64"
	"strings"
	"testing"

	"culvert/sbrp"
)

// FuzzParse reads a SPEC: what is taken has a form that means the same, and an error names a clause of it.
func FuzzParse(f *testing.F) {
	f.Add("drop=0.05,delay=200ms±50ms,seed=7")
	f.Add("flip, truncate ,reflect,swap-session,on=all,to=client,hold=5s,rate=1MB/s")
	f.Add("control=session_expired@3,control=0x0301@0,control=identity_key_changed")
	f.Add("delay=1s+-2s")
	f.Add("drop=0.1,drop=NaN,x")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			if !strings.Contains(err.Error(), "clause") && len(text) <= maxSpec || len(err.Error()) > 2000 {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again, err := Parse(s.String())
		if err != nil || again.String() != s.String() || again.seed != s.seed || again.delay != s.delay || again.jitter != s.jitter || again.rate != s.rate {
			t.Errorf("%q is %+v, its String %q is %+v, %v", text, s, s.String(), again, err)
		}
		if s.jitter > s.delay || s.delay > maxSpan || s.hold > maxSpan || s.rate != 0 && (s.rate < minRate || s.rate > maxRate) || len(s.says) > maxSays {
			t.Errorf("%q is out of bounds: %+v", text, s)
		}
		for c, o := range s.odds {
			if o.p < 0 || o.p > 1 || o.once && o.p != 0 {
				t.Errorf("%q: %s at odds %+v", text, cheatWords[c], o)
			}
		}
	})
}

// FuzzBearer reads who comes with a token: nobody, a daemon, or a client with its session.
func FuzzBearer(f *testing.F) {
	token := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".x"
	}
	f.Add(token(`{"role":"client","did":"d","sid":"AQIDBAUGBwg"}`))
	f.Add(token(`{"role":"daemon","did":"d","sid":7}`))
	f.Add(token(`{"role":"client","did":"d","sid":"AAAAAAAAAAA"}`))
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		b := bearerOf(raw)
		client, daemon := b.role == sbrp.RoleClient && b.id != 0, b.role == sbrp.RoleDaemon && b.id == 0
		if b != (bearer{}) && !client && !daemon {
			t.Errorf("%q is %+v", raw, b)
		}
	})
}
