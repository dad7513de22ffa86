package main

import "testing"

// What a Dockerfile says that is not understood is not passed over.
func TestParseDockerfile(t *testing.T) {
	for text, ok := range map[string]bool{
		"FROM a AS b\nRUN x\nFROM scratch\nCOPY a b\nUSER 1\n": true,
		"FROM scratch\nRUN x\n":                                false,
		"FROM scratch\nCMD x\n":                                false,
		"FROM scratch\nHEALTHCHECK NONE\n":                     false,
		"FROM scratch\nHEALTHCHECK --x=1s CMD [\"a\"]\n":       false,
		"FROM scratch\nHEALTHCHECK --timeout=1 CMD [\"a\"]\n":  false,
		"FROM debian\nUSER 1\n":                                false,
		"":                                                     false,
	} {
		if _, err := parseDockerfile([]byte(text)); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
