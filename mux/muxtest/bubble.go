package muxtest

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// Bubble runs f in a synctest bubble in which yamux works. yamux keeps timers in a package-level pool, and a timer made in
// one bubble must not be used in another or outside: two garbage collections empty the pool before and after. Tests that
// use it must not run in parallel with others that use yamux.
func Bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	emptyPools()
	defer emptyPools()
	synctest.Test(t, f)
}

func emptyPools() {
	runtime.GC() // moves pools to their victim caches
	runtime.GC() // and these out
}
