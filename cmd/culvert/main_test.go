package main

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files and scripts anew")

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"culvert": main})
}

// leakChecked fails when tests leave goroutines behind.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	heedHangup()
	code := m.M.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
