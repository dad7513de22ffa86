package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// day is 24 hours: spans of days are for expiry, where a shifted clock does not matter.
const day = 24 * time.Hour

// span is a flag for a length of time, written as Go does ("90s", "1h30m") or in days
// ("30d", "1d12h"). It is never negative; zero means what the flag's default says.
type span struct{ to *time.Duration }

var _ pflag.Value = span{}

func (s span) String() string {
	if s.to == nil || *s.to == 0 {
		return ""
	}
	return short(*s.to)
}

func (s span) Set(text string) error {
	d, err := parseSpan(text)
	if err == nil {
		*s.to = d
	}
	return err
}

func (s span) Type() string { return "duration" }

var errSpan = errors.New("write a time such as 90s, 5m, 2h or 30d")

func parseSpan(text string) (time.Duration, error) {
	var d time.Duration
	if days, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > uint64(math.MaxInt64/day) {
			return 0, errSpan
		}
		if d, text = time.Duration(n)*day, rest; text == "" {
			return positive(d)
		}
	}
	more, err := time.ParseDuration(text)
	if err != nil || more < 0 || d > math.MaxInt64-more {
		return 0, errSpan
	}
	return positive(d + more)
}

func positive(d time.Duration) (time.Duration, error) {
	if d <= 0 {
		return 0, errSpan
	}
	return d, nil
}

// short writes a length of time as a span is written, without parts that are zero.
func short(d time.Duration) string {
	if d >= day && d%time.Second == 0 {
		text := fmt.Sprintf("%dd", d/day)
		if d %= day; d == 0 {
			return text
		}
		return text + short(d)
	}
	text := d.String()
	if before, ok := strings.CutSuffix(text, "m0s"); ok {
		text = before + "m"
	}
	if before, ok := strings.CutSuffix(text, "h0m"); ok {
		text = before + "h"
	}
	return text
}
