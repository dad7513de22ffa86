//go:build unix

package main

import (
	"os"
	"syscall"
)

// enableColour tells whether the terminal shows colours.
func enableColour(*os.File) bool { return true }

// openTerminal opens the terminal that this process belongs to, whatever its streams are.
func openTerminal() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY, 0) }
