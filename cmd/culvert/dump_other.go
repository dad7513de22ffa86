//go:build !linux

package main

// keepMemoryPrivate does nothing: here a limit on core dumps would be passed on to the commands that culvert starts
// (macOS, the BSDs), or there is nothing to ask for (Windows). See the README.
func keepMemoryPrivate() {}
