package control

import "errors"

// What the store's methods may return, wrapped.
var (
	ErrNotFound  = errors.New("not found")
	ErrNameTaken = errors.New("name is taken")
	errRevoked   = errors.New("API key was revoked")
	errUnproven  = errors.New("daemon has proved its identity key before")
	errExists    = errors.New("exists already")
	errReplayed  = errors.New("device token was used before")
	errInvalid   = errors.New("invalid")
)
