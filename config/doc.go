// Package config reads and writes what culvert keeps on disk: the state
// directory with its keys, pins and grants, and the configuration file that a
// person writes.
//
// # The state directory
//
//	identity.key        the device key, 0600, made on first use
//	known_daemons       pinned daemon keys, one line each
//	authorized_clients  who may connect here and to what, one line per client
//	pairings.json       pairing codes that were made and not yet used
//	enrollment.json     the control plane that this device is enrolled at
//	config.yaml         what `culvert up` runs, written by a person
//	.lock               held while one of the above is read, changed and written
//
// The directory is 0700 and every file in it 0600, or on Windows each has an access
// list that names its owner, the system and the administrators alone: package private
// makes them so and refuses others. A file is never changed in
// place: a temporary file is written, synced and renamed over the old one, so
// that a crash leaves either the old or the new content. Several culvert
// processes may use one directory at once; every change is made under the lock.
//
// # Who may do what
//
// Everything here fails closed: a grant line that cannot be understood grants
// nothing, a pin file that cannot be understood pins nothing and also makes no
// daemon look unknown, and a secret that others can read is not used.
//
// The package reads the environment in load.go only.
package config
