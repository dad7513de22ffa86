//go:build unix

package config

import (
	"io/fs"
)

// checkSecretMode refuses a secret that group or others can read or change.
func checkSecretMode(path string, fi fs.FileInfo) error {
	switch perm := fi.Mode().Perm(); {
	case perm&0o044 != 0:
		return &PermissionError{Path: path, Mode: perm.String(), Why: "can be read by other users", Mend: "chmod 600 " + quotePath(path)}
	case perm&0o033 != 0:
		return &PermissionError{Path: path, Mode: perm.String(), Why: "can be changed by other users", Mend: "chmod 600 " + quotePath(path)}
	}
	return nil
}

// checkTrustMode refuses a file that group or others can change: it says who is
// trusted, which is no secret, but nobody else's decision.
func checkTrustMode(path string, fi fs.FileInfo) error {
	if perm := fi.Mode().Perm(); perm&0o022 != 0 {
		return &PermissionError{Path: path, Mode: perm.String(), Why: "can be changed by other users", Mend: "chmod 600 " + quotePath(path)}
	}
	return nil
}

// checkDirMode refuses a directory in which group or others can replace files.
func checkDirMode(path string, fi fs.FileInfo) error {
	if perm := fi.Mode().Perm(); perm&0o022 != 0 {
		return &PermissionError{Path: path, Mode: perm.String(), Why: "can be changed by other users", Mend: "chmod 700 " + quotePath(path)}
	}
	return nil
}
