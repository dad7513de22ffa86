// Package pgtest runs a real PostgreSQL server for a test. It is imported by tests only.
package pgtest
