package config

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The line files (known_daemons, authorized_clients) share one syntax: a line
// is words separated by white space; empty lines and lines whose first
// character is '#' are comments. A word may be key=value, and a value with
// spaces stands in double quotes with Go's escapes. Comments, empty lines and
// lines that cannot be understood are kept as they are when the file is edited.

// maxLine bounds one line, in bytes; real ones are under 500.
const maxLine = 16 << 10

// word is one word of a line.
type word struct {
	text string
	col  int // column of its first character, from 1
}

// lineProblem is a mistake in a line, before the file and line are known.
type lineProblem struct {
	col int
	msg string
}

func (p *lineProblem) Error() string { return p.msg }

func problem(col int, format string, args ...any) error {
	return &lineProblem{col: col, msg: fmt.Sprintf(format, args...)}
}

// isComment tells whether a line holds no entry.
func isComment(line string) bool {
	s := strings.TrimSpace(line)
	return s == "" || s[0] == '#'
}

// splitLine splits a line into its words.
func splitLine(line string) ([]word, error) {
	if len(line) > maxLine {
		return nil, problem(0, "line is longer than %d bytes", maxLine)
	}
	if !utf8.ValidString(line) {
		return nil, problem(0, "line is not valid UTF-8")
	}
	var words []word
	rest, col := line, 1
	for {
		trimmed := strings.TrimLeft(rest, " \t\r")
		col += len(rest) - len(trimmed)
		if rest = trimmed; rest == "" {
			return words, nil
		}
		start, text := col, ""
		end := strings.IndexAny(rest, " \t\r")
		if end < 0 {
			end = len(rest)
		}
		if q := strings.IndexByte(rest[:end], '"'); q < 0 {
			text = rest[:end]
		} else {
			if q > 0 && rest[q-1] != '=' {
				return nil, problem(col+q, "a quote may only begin a value, as in name=\"a b\"")
			}
			quoted, err := strconv.QuotedPrefix(rest[q:])
			if err != nil {
				return nil, problem(col+q, "value's quotes are not closed, or hold a wrong escape")
			}
			value, err := strconv.Unquote(quoted)
			if err != nil || !utf8.ValidString(value) {
				return nil, problem(col+q, "value's quotes hold a wrong escape")
			}
			text, end = rest[:q]+value, q+len(quoted)
			if end < len(rest) && !strings.ContainsRune(" \t\r", rune(rest[end])) {
				return nil, problem(col+end, "white space must follow a quoted value")
			}
		}
		words = append(words, word{text: text, col: start})
		rest, col = rest[end:], col+end
	}
}

// appendAttr appends " key=value" with quotes where they are needed.
func appendAttr(b []byte, key, value string) []byte {
	b = append(b, ' ')
	b = append(b, key...)
	b = append(b, '=')
	if value != "" && !strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f || r == utf8.RuneError }) {
		return append(b, value...)
	}
	return strconv.AppendQuote(b, value)
}

// attrs splits words of the form key=value and refuses unknown and doubled
// keys: an attribute that is not understood may be a limit, and a limit that
// is not understood must not be passed over.
func attrs(words []word, known ...string) (map[string]word, error) {
	out := make(map[string]word, len(words))
	for _, w := range words {
		key, value, ok := strings.Cut(w.text, "=")
		switch {
		case !ok:
			return nil, problem(w.col, "expected key=value with one of the keys %s", strings.Join(known, ", "))
		case !slices.Contains(known, key):
			if near := nearest(key, known); near != "" {
				return nil, problem(w.col, "unknown key %s: did you mean %q?", clip(key), near)
			}
			return nil, problem(w.col, "unknown key %s: the keys are %s; a newer culvert may have more", clip(key), strings.Join(known, ", "))
		}
		if _, twice := out[key]; twice {
			return nil, problem(w.col, "key %q stands twice", key)
		}
		out[key] = word{text: value, col: w.col + len(key) + 1}
	}
	return out, nil
}

// clip quotes a word of a file for an error text, shortened.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}

// lines splits a file into its lines without their ends. A final newline does
// not begin another line. A byte order mark, as some editors write, is dropped.
func lines(data []byte) []string {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	s := strings.TrimSuffix(string(data), "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// joinLines is the reverse of lines.
func joinLines(ls []string) []byte {
	if len(ls) == 0 {
		return []byte{}
	}
	return []byte(strings.Join(ls, "\n") + "\n")
}

// entry is one line of a line file that holds a T.
type entry[T any] struct {
	value T
	line  int // from 1
}

// parseLines parses every line of a file that is not a comment. Lines that
// cannot be understood come back as problems; the others are still good.
func parseLines[T any](file string, data []byte, parse func(string) (T, error)) (good []entry[T], bad []*LineError) {
	for i, l := range lines(data) {
		if isComment(l) {
			continue
		}
		v, err := parse(l)
		if err != nil {
			bad = append(bad, lineError(file, i+1, err))
			continue
		}
		good = append(good, entry[T]{value: v, line: i + 1})
	}
	return good, bad
}

func lineError(file string, line int, err error) *LineError {
	if p, ok := err.(*lineProblem); ok {
		return &LineError{File: file, Line: line, Column: p.col, Msg: p.msg}
	}
	return &LineError{File: file, Line: line, Msg: err.Error()} // printing: parse errors hold no secrets
}

// nearest returns the known word that s was probably meant to be, or "".
func nearest(s string, known []string) string {
	best, dist := "", 3
	if len(s) < 4 {
		dist = 2
	}
	if len(s) > 40 {
		return "" // nothing of ours is so long; the distance costs len(s) squared
	}
	for _, k := range known {
		if d := editDistance(strings.ToLower(s), k); d < dist {
			best, dist = k, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func editDistance(a, b string) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
