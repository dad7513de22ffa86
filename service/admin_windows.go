package service

// checkPrivateDir accepts: the temporary directory of a Windows user is private to it.
func checkPrivateDir(string) error { return nil }
