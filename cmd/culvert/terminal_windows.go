package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// enableColour makes the console understand colour codes, which old ones do not by
// themselves, and tells whether it does.
func enableColour(f *os.File) bool {
	var mode uint32
	h := windows.Handle(f.Fd())
	if windows.GetConsoleMode(h, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}

// openTerminal opens the console that this process belongs to, whatever its streams are.
func openTerminal() (*os.File, error) { return os.OpenFile("CONIN$", os.O_RDWR, 0) }
