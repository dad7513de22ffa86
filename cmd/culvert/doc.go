// Command culvert carries TCP connections to a machine behind NAT through a relay that can
// read nothing.
//
// This package turns words into calls: each command has a file in which flags become an
// options struct, the struct goes into one call of package service, and the result is
// printed. It decides nothing itself. What the process writes goes through [printer]:
// stdout carries what was asked for (with --json one object a line), stderr the rest.
package main
