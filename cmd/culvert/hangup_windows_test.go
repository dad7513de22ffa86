package main

// heedHangup has nothing to do: Windows has no SIGHUP.
func heedHangup() {}
