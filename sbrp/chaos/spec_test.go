package chaos

import (
	"strings"
	"testing"
	"time"

	"culvert/sbrp"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"drop=0.05,seed=7":                                         "drop=0.05,seed=7",
		" flip , to=client,seed=1":                                 "flip,to=client,seed=1",
		"delay=200ms±50ms,seed=1":                                  "delay=200ms±50ms,seed=1",
		"delay=200ms+-50ms,seed=1":                                 "delay=200ms±50ms,seed=1",
		"rate=1.5MB/s,hold=5s,seed=0":                              "rate=1500000B/s,hold=5s,seed=0",
		"control=session_expired@3,control=0x7777,seed=1":          "control=session_expired@3,control=0x7777@1,seed=1",
		"control=0x0302@0,seed=1":                                  "control=session_expired@0,seed=1",
		"swap-identity,swap-ephemeral=1,strip,on=handshake,seed=1": "swap-identity,swap-ephemeral=1,strip,on=handshake,seed=1",
	} {
		s, err := Parse(text)
		if err != nil || s.String() != want {
			t.Errorf("%q is %v, %v; want %q", text, s, err, want)
			continue
		}
		if again, err := Parse(s.String()); err != nil || again.String() != want {
			t.Errorf("%q is %v, %v", want, again, err)
		}
	}
	a, err := Parse("drop")
	b, err2 := Parse("drop")
	if err != nil || err2 != nil || a.seed == b.seed {
		t.Errorf("without a seed: %v, %v, %v, %v", a, b, err, err2)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                      `clause "": there is no such word; there are drop, delay`,
		"drop=0.1,":             `clause ""`,
		"dorp=0.1":              `clause "dorp=0.1": there is no such word`,
		"drop=0.1,drop=0.2":     `clause "drop=0.2": drop stands there already`,
		"drop=0":                "above 0 and up to 1; write it as drop[=P]",
		"drop=":                 "above 0",
		"flip=NaN":              "above 0",
		"flip=1.01":             "above 0",
		"delay":                 "with its unit; write it as delay=D[±D], such as 200ms",
		"delay=5":               "with its unit",
		"delay=-1s":             "above 0 and up to 10m0s",
		"delay=11m":             "up to 10m0s",
		"delay=1s±2s":           "no more than the delay itself",
		"rate=1MB":              "a rate is",
		"rate=1B/s":             "from 1000 B/s",
		"rate=MB/s":             "a rate is",
		"hold=0s":               "above 0",
		"control=nonsense":      "session_expired",
		"control=0x1":           "four hexadecimal digits",
		"control=forbidden@-1":  "the number N is from 0",
		"control=forbidden@1e9": "the number N is from 0",
		"to=relay":              "two ends; write it as to=client|daemon",
		"on=everything":         "write it as on=data|handshake|all",
		"seed=x":                "the number N is from 0",
		strings.Repeat("control=forbidden,", maxSays) + "control=forbidden": "at most 16",
		strings.Repeat("x", maxSpec+1):                                      "at most 1000",
		strings.Repeat("x", 100):                                            "…",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Every word is explained, and every example in the explanations is one.
func TestUsage(t *testing.T) {
	usage := Usage()
	for _, w := range theWords {
		if !strings.Contains(usage, "\n  "+w.name) {
			t.Errorf("%s is not explained", w.name)
		}
		if _, rest, ok := strings.Cut(w.form, "such as "); ok {
			example, _, _ := strings.Cut(rest, " ")
			if !strings.Contains(example, "=") {
				example = w.name + "=" + example
			}
			if _, err := Parse(example); err != nil {
				t.Errorf("the example of %s: %v", w.name, err)
			}
		}
	}
	first, _, _ := strings.Cut(usage[strings.Index(usage, "such as ")+8:], ".\n")
	if _, err := Parse(first); err != nil {
		t.Errorf("the example %q: %v", first, err)
	}
}

func spec(t *testing.T, text string) *Spec {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// message is the n-th sealed message of a session.
func message(n int) Delivery {
	msg := sbrp.AppendFrame(nil, sbrp.FrameData, 7, append([]byte{byte(n >> 8), byte(n)}, make([]byte, 60)...))
	f, _ := sbrp.ParseFrame(msg)
	return Delivery{To: sbrp.RoleClient, Daemon: "d", Client: 7, SessionID: 7, Frame: f, Message: msg}
}

// shake is a handshake's message to an end.
func shake(to sbrp.Role) Delivery {
	typ, size := sbrp.FrameHandshakeAccept, sbrp.AcceptSize
	if to == sbrp.RoleDaemon {
		typ, size = sbrp.FrameHandshakeInit, sbrp.InitSize
	}
	msg := sbrp.AppendFrame(nil, typ, 7, make([]byte, size))
	f, _ := sbrp.ParseFrame(msg)
	return Delivery{To: to, Daemon: "d", SessionID: 7, Frame: f, Message: msg}
}

func within(t *testing.T, d, low, high time.Duration) {
	t.Helper()
	if d < low || d > high {
		t.Errorf("after %v, want %v to %v", d, low, high)
	}
}
