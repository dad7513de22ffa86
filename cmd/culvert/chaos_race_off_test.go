//go:build !race

package main

// raceEnabled tells that the tests run under the race detector: slower, and larger.
const raceEnabled = false
