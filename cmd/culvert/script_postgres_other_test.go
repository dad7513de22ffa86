//go:build !unix

package main

import "github.com/rogpeppe/go-internal/testscript"

func cmdPostgres(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("postgres: this system has no Unix sockets to put it on")
}
