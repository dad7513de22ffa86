//go:build !linux && !darwin

package wsconn

// setUnsentBound does nothing: this system cannot be told.
func setUnsentBound(int) error { return nil }
