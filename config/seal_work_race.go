//go:build race

package config

// sealWork is less under the race detector, which makes scrypt ten times slower and has
// nothing to find in it: no program that anybody uses is built with it.
const sealWork = 12
