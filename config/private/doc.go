// Package private makes and opens files and directories that nobody but their
// owner may read: the one place that knows how each system says that.
//
// On Unix a file is made 0600 and a directory 0700; one that group or others can
// read or change, or that belongs to somebody else, is refused. On Linux a file
// whose group bits are but the mask of an access list that lets this very user
// read it, as systemd makes its credentials, is private too.
//
// On Windows both are made with a protected access list of three: the user, the
// system and the administrators, who can read everything anyway. One that lets
// anybody else read or change it is refused. What is acceptable is decided by
// acl.go, which runs everywhere; private_windows.go only asks the system.
//
// A refusal is an [Error] with the command that puts it right. The checks look at
// the open file, not at its name, so that nothing can be exchanged in between.
//
// On every system whoever is the superuser or an administrator can read all of it.
package private
