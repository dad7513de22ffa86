package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary play the hidden roles, as the bench's own does.
func TestMain(m *testing.M) {
	if code, ok := runRole(os.Args[1:]); ok {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}
