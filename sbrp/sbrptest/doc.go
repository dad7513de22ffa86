// Package sbrptest is a relay for tests that does as it is told: it runs the
// relay's part of a session's life (spec section 6) in process, over real
// loopback WebSockets or over memory, and can cut, drop, repeat, reorder, hold
// and silence at any message, and lie with control codes. It shares nothing
// with package relay, so that a mistake there is not repeated here.
//
// It is imported by tests only.
package sbrptest
