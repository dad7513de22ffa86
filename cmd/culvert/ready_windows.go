package main

import (
	"errors"

	"golang.org/x/sys/windows"
)

// checkInherited tells whether handle fd is one that can be written to: only what whoever
// started this process passed on can be known to it by number.
func checkInherited(fd int) error {
	kind, err := windows.GetFileType(windows.Handle(fd))
	if err != nil || kind == windows.FILE_TYPE_UNKNOWN {
		return errors.New("this handle was not inherited")
	}
	return nil
}
