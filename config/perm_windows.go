package config

import "io/fs"

// Windows has no permission bits: os.FileMode there is made up from the
// read-only attribute. See the package documentation for what protects the
// files instead.

func checkSecretMode(string, fs.FileInfo) error { return nil }

func checkTrustMode(string, fs.FileInfo) error { return nil }

func checkDirMode(string, fs.FileInfo) error { return nil }
