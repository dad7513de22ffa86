package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"culvert/config"
)

// A chained audit log has in each line the number of the line ("n", from 1) and the hash of the line before ("prev": SHA-256
// of its bytes without the line end, in hex; of the first line: zeros). So no line can be changed, moved, put in or taken
// out without all later ones being written anew. Beside the log stands the head: number and hash of the last line, by which
// missing lines at the end are found. The writer looks at both when it opens the log, and writes down what is wrong
// ("log damaged"), so that a log that was cut does not heal by going on. A crash in the middle of a write is told from
// that: what there is of the line then begins as the line after the head's does ("log interrupted"). The next line is bound
// to the last one that is whole, and to the piece ("torn", its hash).
//
// What that finds: any change by somebody who does not make all later lines and the head anew. Whoever may write the state
// directory can do that, from any line on; and he can put back an old log with its old head. Against that helps a head
// that was noted elsewhere: all up to it is certain. A machine that loses power may lose the last lines, or the last head;
// that looks like tampering and is reported as such.

const (
	headSuffix = ".head"
	// headSize is number, space, hash and line end: always the same, so that the head is one small write in place.
	headSize = 20 + 1 + 2*sha256.Size + 1
	// maxAuditLine bounds a line, in bytes; ours are under 1 KB.
	maxAuditLine = 64 << 10

	// actDamaged is the writer's word that the log is not as it was left.
	actDamaged = "log damaged"
	// actInterrupted is the writer's word that the one before it ended in the middle of a line: a crash.
	actInterrupted = "log interrupted"
)

// lineHash is the hash of a line in hex.
func lineHash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

var firstPrev = hex.EncodeToString(make([]byte, sha256.Size))

// chain is the writer's end of a chained log. It belongs to an auditLog, whose mu guards it.
type chain struct {
	n    uint64 // of the last line
	hash string // of the last line
	head *os.File
}

// chained is what a reader needs of a line.
type chained struct {
	N    uint64 `json:"n"`
	Prev string `json:"prev"`
	Act  string `json:"act"`
	Torn string `json:"torn"`
}

// parseChained reads number and link of a line.
func parseChained(line []byte) (c chained, err error) {
	if err := json.Unmarshal(line, &c); err != nil {
		return c, errors.New("it is no JSON object")
	}
	if c.N == 0 || len(c.Prev) != len(firstPrev) {
		return c, errors.New("it has no number or no link to the line before")
	}
	return c, nil
}

// link makes the next line of a JSON object that ends with a line end.
func (c *chain) link(object []byte) []byte {
	line := fmt.Appendf(make([]byte, 0, len(object)+100), `{"n":%d,"prev":%q,`, c.n+1, c.hash)
	return append(line, object[1:]...)
}

// wrote notes that a line is in the log. An error is the head's.
func (c *chain) wrote(line []byte) error {
	c.n, c.hash = c.n+1, lineHash(bytes.TrimSuffix(line, []byte("\n")))
	_, err := c.head.WriteAt(formatHead(c.n, c.hash), 0)
	return err
}

// readHead reads the head beside a log; a missing one is zero.
func readHead(log string) (n uint64, hash string, err error) {
	b, err := os.ReadFile(log + headSuffix)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return 0, firstPrev, nil
	}
	if err != nil {
		return 0, "", err
	}
	if n, hash, err = parseHead(b); err != nil {
		return 0, "", fmt.Errorf("%s%s %w", log, headSuffix, err)
	}
	return n, hash, nil
}

// parseHead reads what stands in a head's file. What the writer would not write is damaged.
func parseHead(b []byte) (n uint64, hash string, err error) {
	number, rest, _ := strings.Cut(string(b), " ")
	hash = strings.TrimSuffix(rest, "\n")
	n, err = strconv.ParseUint(number, 10, 64)
	if err != nil || len(b) != headSize || !isHash(hash) || string(formatHead(n, hash)) != string(b) {
		return 0, "", errors.New("is damaged")
	}
	return n, hash, nil
}

func formatHead(n uint64, hash string) []byte { return fmt.Appendf(nil, "%020d %s\n", n, hash) }

// isHash tells whether text has the form of lineHash.
func isHash(text string) bool {
	return len(text) == len(firstPrev) && strings.Trim(text, "0123456789abcdef") == ""
}

// resume takes the chain up where the log ends, and returns what is to be written down about it first: nothing, or what
// is wrong. If the log is empty, the file that was put aside last is looked at.
func (c *chain) resume(dir *config.Dir, name string) (damage []byte, err error) {
	if c.head == nil {
		if c.head, err = dir.OpenFile(name+headSuffix, os.O_RDWR|os.O_CREATE); err != nil {
			return nil, err
		}
	}
	log := dir.File(name)
	line, torn, err := lastLine(log)
	if err == nil && line == nil {
		line, _, err = lastLine(log + ".1")
	}
	if err != nil {
		return nil, err
	}
	n, hash, headErr := readHead(log)
	e := ending{line: line, torn: torn, n: n, hash: hash, headErr: headErr}
	act, why := e.judge()
	c.n, c.hash = e.n, e.hash
	if act == "" {
		return nil, nil
	}
	object, err := json.Marshal(struct {
		Time time.Time `json:"time"`
		Act  string    `json:"act"`
		Why  string    `json:"why"`
		Torn string    `json:"torn,omitempty"`
	}{time.Now(), act, why, e.piece})
	if err != nil {
		return nil, err
	}
	damage = append(c.link(object), '\n')
	if torn {
		damage = append([]byte("\n"), damage...)
	}
	return damage, nil
}

// ending is how a log ends, beside what its head says.
type ending struct {
	line    []byte // the last one; nil: there is none
	torn    bool   // its end is missing
	n       uint64 // of the head, and then of the line to go on from
	hash    string // the same
	headErr error
	piece   string // hash of a line that was interrupted
}

// judge tells what is to be written down about it, if anything, and sets where the chain goes on.
func (e *ending) judge() (act, why string) {
	found, lineErr := chained{}, error(nil)
	n, hash, last := e.n, e.hash, firstPrev
	if e.line != nil {
		last = lineHash(e.line)
		found, lineErr = parseChained(e.line)
	}
	if e.headErr == nil && e.torn && e.follows(found, lineErr == nil) {
		if lineErr == nil { // all but its end is there
			e.n, e.hash = found.N, last
			return actInterrupted, fmt.Sprintf("the end of line %d was missing", found.N)
		}
		e.piece = last // the chain goes on from the head
		return actInterrupted, fmt.Sprintf("line %d was not finished", n+1)
	}
	e.n, e.hash = found.N, last
	switch {
	case e.headErr != nil:
		return actDamaged, "the head cannot be read"
	case e.torn || lineErr != nil:
		e.n = max(n, found.N)
		return actDamaged, "the last line is not whole"
	case n == 0 && found.N > 1:
		return actDamaged, "the head is missing"
	case found.N < n:
		e.n = n
		return actDamaged, fmt.Sprintf("it ends with line %d, the head says %d", found.N, n)
	case found.N == n && last != hash:
		return actDamaged, "the last line is not the one that the head says"
	}
	return "", ""
}

// follows tells whether the line is, or begins as, the one after the head's.
func (e *ending) follows(found chained, whole bool) bool {
	if whole {
		return found.N == e.n+1 && found.Prev == e.hash
	}
	begin := (&chain{n: e.n, hash: e.hash}).link([]byte("{"))
	return bytes.HasPrefix(e.line, begin) || bytes.HasPrefix(begin, e.line)
}

// lastLine returns the last line of a file without its end, and whether the end was missing; nil if there is no line.
func lastLine(path string) (line []byte, torn bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, false, err
	}
	b := make([]byte, min(size, 2*maxAuditLine))
	if _, err := f.ReadAt(b, size-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	if len(b) == 0 {
		return nil, false, nil
	}
	whole := bytes.HasSuffix(b, []byte("\n"))
	b = bytes.TrimSuffix(b, []byte("\n"))
	return b[bytes.LastIndexByte(b, '\n')+1:], !whole, nil
}
