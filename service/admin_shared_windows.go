package service

// sharedAdminDir is none: the access list of the state directory, which administrators are
// on, holds for the socket in it too.
func sharedAdminDir(string) (string, bool) { return "", false }

// foreignDir is none, for the same reason.
func foreignDir(string) (foreign bool, name string) { return false, "" }

func mayOpen() bool { return true }
