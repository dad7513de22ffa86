package main

import "os"

// hangups: Windows has no signal for it; `culvert reload` does the same.
func hangups() (<-chan os.Signal, func()) { return nil, func() {} }
