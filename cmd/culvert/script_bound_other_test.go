//go:build !unix

package main

import "github.com/rogpeppe/go-internal/testscript"

func cmdBound(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("bound: this system cannot hold a port without listening")
}

func cmdServe(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("serve: this system cannot hold a port without listening")
}
