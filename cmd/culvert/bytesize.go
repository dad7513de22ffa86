package main

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// byteSize is a flag for a number of bytes, written as a number with kB, MB, GB, KiB, MiB
// or GiB behind it, or none. Zero means what the flag's default says.
type byteSize struct{ to *uint64 }

var _ pflag.Value = byteSize{}

// String is the flag's default.
func (b byteSize) String() string {
	if b.to == nil || *b.to == 0 {
		return ""
	}
	return size(*b.to)
}

// Set takes the text.
func (b byteSize) Set(text string) error {
	n, err := parseBytes(text)
	if err == nil {
		*b.to = n
	}
	return err
}

// Type names the flag's kind of value.
func (b byteSize) Type() string { return "size" }

var errBytes = errors.New("write a number of bytes such as 500kB, 100MB or 1GiB")

// units are from the longest to the shortest: "MB" ends in "B" too.
var units = []struct {
	name  string
	bytes float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

func parseBytes(text string) (uint64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		f *= u.bytes
		if err != nil || math.IsNaN(f) || f < 1 || f >= 1<<62 {
			return 0, errBytes
		}
		return uint64(f), nil
	}
	return 0, errBytes
}
