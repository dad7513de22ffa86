//go:build unix

package main

import (
	"github.com/rogpeppe/go-internal/testscript"

	"culvert/sbrp/control/pgtest"
)

// cmdPostgres is "postgres VAR [URL]": a real PostgreSQL server with a database of its own.
// VAR gets the path of its Unix socket, URL what --db takes.
func cmdPostgres(ts *testscript.TestScript, _ bool, args []string) {
	server, err := pgtest.Start()
	ts.Check(err)
	ts.Defer(server.Stop)
	ts.Setenv(args[0], server.Socket())
	if len(args) > 1 {
		ts.Setenv(args[1], server.URL("postgres"))
	}
}
