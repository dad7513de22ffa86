package config

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, ok := range []string{"a", "7", "laptop", "My-Laptop_2.local", strings.Repeat("x", 64)} {
		if err := CheckName(ok); err != nil {
			t.Errorf("CheckName(%q): %v", ok, err)
		}
	}
	for _, bad := range []string{"", "-x", ".x", "_x", "..", "a b", "a/b", "a:b", "a=b", "a,b", "*", "ä", "a\n", "a\x00", strings.Repeat("x", 65)} {
		if err := CheckName(bad); err == nil {
			t.Errorf("CheckName(%q) = nil", bad)
		}
	}
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"laptop":                "laptop",
		"Eve's MacBook":         "Eve-s-MacBook",
		"  -x.-":                "x",
		"":                      "device",
		"...":                   "device",
		"büro":                  "b--ro",
		strings.Repeat("x", 99): strings.Repeat("x", 64),
	} {
		if got := CleanName(in); got != want {
			t.Errorf("CleanName(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	f.Add("Eve's MacBook")
	f.Fuzz(func(t *testing.T, s string) {
		if got := CleanName(s); CheckName(got) != nil {
			t.Errorf("CleanName(%q) = %q, which CheckName refuses", s, got)
		}
	})
}
