//go:build !linux

package main

// takeShortSlices does nothing: other systems give no such choice to a process without privileges.
func takeShortSlices() {}
