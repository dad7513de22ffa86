package chaos

import (
	"strings"
	"testing"
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
