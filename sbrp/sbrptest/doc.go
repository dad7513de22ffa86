// Package sbrptest is a relay for tests that does as it is told: it runs the
// relay's part of a session's life (spec section 6) in process, over real
// loopback WebSockets or over memory, and can cut, drop, repeat, reorder, hold
// and silence at any message, and lie with control codes. It shares nothing
// with package relay, so that a mistake there is not repeated here.
//
// Beside it stands what holds the whole to the protocol: rules.txt, the one
// numbered list of its rules in our own words, and [Suite], the table of cases
// with which a package proves those of them that the list gives to it. A rule
// without a case fails the suite, so a new rule begins as a line in rules.txt.
// `make conformance` prints all of it. ForgeClient and BadTokens are relay tokens
// made without package token, for the suites of both sides of that check.
//
// [Cheat] makes hostile ones of a real relay and a real control plane (package
// chaos) and remembers what endpoints send, for the table of threats that package
// service proves and ../THREATS.md shows.
//
// It is imported by tests only.
package sbrptest
