// Package muxtest has what tests of links need: carriers in memory that fail as told, and bubbles in which yamux works.
package muxtest
