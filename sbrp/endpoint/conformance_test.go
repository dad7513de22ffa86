package endpoint_test

import (
	"testing"

	"culvert/sbrp/sbrptest"
)

// TestConformance proves the endpoints' rules: at the project's own relay over loopback, against a raw peer that computes
// everything by itself; and, where a relay has to misbehave or time has to pass, at a scripted relay in memory on a fake clock.
func TestConformance(t *testing.T) {
	s := sbrptest.NewSuite("endpoint")
	wireCases(s)
	sealCases(s)
	codeCases(s)
	lifeCases(s)
	s.Run(t)
}
