//go:build !race

package config

// sealWork is scrypt's work factor, as a power of two: 128 MiB and some tenths of a
// second for each guess, as OWASP recommends. Each start of a command pays it once.
const sealWork = 17
