//go:build unix && !linux

package private

import "os"

// onlyMask: elsewhere the group bits are the group's.
func onlyMask(*os.File, int) bool { return false }
