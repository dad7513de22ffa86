package service

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// AuditReport is what is known of a daemon's audit log.
type AuditReport struct {
	Files int       `json:"files"`
	Lines uint64    `json:"lines"`
	First uint64    `json:"first"` // number of the oldest line that is kept
	Last  uint64    `json:"last"`  // number of the newest
	Since time.Time `json:"since"` // of the oldest
	Until time.Time `json:"until"` // of the newest
	// Head is number and hash of the newest line. Noted elsewhere, it shows later whether all up to it was written anew.
	Head string `json:"head"`
	// Notes are what happened to the log that is nobody's doing: the writer crashed in the middle of a line.
	Notes []string `json:"notes,omitempty"`
	// Problems are where the log is not as it was written, oldest first; none: it is whole.
	Problems []string `json:"problems,omitempty"`
}

// maxProblems bounds AuditReport.Problems.
const maxProblems = 20

// VerifyAudit reads all that is kept of the daemon's audit log of a state directory and checks that nothing was changed, put
// in or taken out. head, if not empty, is the Head of an earlier report, which this log has to contain. A log that is
// not whole is an error with the code "audit_damaged", beside the report. It may run while the daemon does.
func VerifyAudit(c Common, head string) (AuditReport, error) {
	path, err := auditPath(c)
	if err != nil {
		return AuditReport{}, err
	}
	v := &verifier{path: path}
	if err := v.want(head); err != nil {
		return AuditReport{}, err
	}
	r, err := v.run()
	if err == nil && len(r.Problems) > 0 {
		r, err = v.run() // it may have been put aside meanwhile
	}
	if err != nil {
		return r, &Error{Code: CodeConfig, Name: "audit", Err: fmt.Errorf("read audit log: %w", err)}
	}
	if len(r.Problems) > 0 {
		return r, errorf(CodeFailure, "audit_damaged", "keep a copy; somebody who may write the state directory has changed it, or the machine lost power",
			"the audit log is not whole: %s", strings.Join(r.Problems, "; "))
	}
	return r, nil
}

// ShowAudit calls show with each line that is kept of the daemon's audit log, oldest first, until it returns false. It checks
// nothing: see VerifyAudit.
func ShowAudit(c Common, show func(line []byte) bool) error {
	path, err := auditPath(c)
	if err != nil {
		return err
	}
	for _, file := range auditFiles(path) {
		more := true
		err := eachLine(file, func(_ int, line []byte, _ bool) bool {
			more = show(line)
			return more
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &Error{Code: CodeConfig, Name: "audit", Err: fmt.Errorf("read audit log: %w", err)}
		}
		if !more {
			return nil
		}
	}
	return nil
}

// auditPath is the daemon's audit log; that there is none is an error that says why.
func auditPath(c Common) (string, error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	path := filepath.Join(dir.Path(), daemonAuditFile)
	if _, err := os.Stat(path + headSuffix); errors.Is(err, fs.ErrNotExist) && len(auditFiles(path)) == 0 {
		return "", errorf(CodeConfig, "audit", "`culvert expose` writes one from its first start", "there is no audit log in %s", dir.Path())
	}
	return path, nil
}

// auditFiles are the files of a log that are there, oldest first.
func auditFiles(path string) (files []string) {
	for n := auditKept; n >= 0; n-- {
		file := path
		if n > 0 {
			file = fmt.Sprintf("%s.%d", path, n)
		}
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	return files
}

// eachLine calls f with the number in the file, the bytes without the line end, and whether that was there, until f returns false.
func eachLine(file string, f func(at int, line []byte, whole bool) bool) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	r := bufio.NewReaderSize(in, maxAuditLine)
	for at := 1; ; at++ {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%s:%d: a line is longer than %d bytes", file, at, maxAuditLine)
		}
		whole := err == nil
		if whole {
			line = line[:len(line)-1]
		}
		if len(line) > 0 || whole {
			if !f(at, line, whole) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// verifier reads a chained log.
type verifier struct {
	path     string
	wantN    uint64 // a head noted before; 0: none
	wantHash string

	report AuditReport
	hash   string // of the last whole line
	met    bool   // the head noted before
	torn   *piece // a line that is not whole, until the next one says why
}

// want parses a head that was noted before.
func (v *verifier) want(head string) (err error) {
	if head == "" {
		return nil
	}
	number, hash, ok := strings.Cut(head, ":")
	v.wantN, err = strconv.ParseUint(number, 10, 64)
	v.wantHash = strings.ToLower(hash)
	if !ok || err != nil || !isHash(v.wantHash) {
		return errorf(CodeUsage, "head", "give the head as `culvert audit verify` has printed it", "%q is no head of an audit log", head)
	}
	return nil
}

// piece is a line that is not whole.
type piece struct {
	where, hash string
	open        bool   // it has no line end
	begin       []byte // what there is of it
}

// unfinished tells whether it is what a crash leaves of the line after the head's.
func (p *piece) unfinished(n uint64, hash string) bool {
	found, err := parseChained(p.begin)
	return p.open && (&ending{line: p.begin, n: n, hash: hash}).follows(found, err == nil)
}

func (v *verifier) note(format string, args ...any) {
	if len(v.report.Notes) < maxProblems {
		v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
	}
}

func (v *verifier) problem(format string, args ...any) {
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, fmt.Sprintf(format, args...))
	}
}

func (v *verifier) run() (AuditReport, error) {
	v.report, v.hash, v.met, v.torn = AuditReport{}, firstPrev, false, nil
	n, hash, headErr := readHead(v.path) // first: the log only grows
	files := auditFiles(v.path)
	v.report.Files = len(files)
	for _, file := range files {
		err := eachLine(file, func(at int, line []byte, whole bool) bool {
			v.line(fmt.Sprintf("%s:%d", filepath.Base(file), at), line, whole, n, hash)
			return true
		})
		if err != nil {
			return v.report, err
		}
	}
	r := &v.report
	switch {
	case v.torn == nil:
	case headErr == nil && n == r.Last && hash == v.hash && v.torn.unfinished(n, hash):
		v.note("%s: the writer ended in the middle of this line; it will say so when it starts again", v.torn.where)
	default:
		v.problem("%s: the line is not whole", v.torn.where)
	}
	switch {
	case headErr != nil:
		v.problem("%v", headErr)
	case n == 0 && r.Last > 1:
		v.problem("the head is missing")
	case r.Last < n:
		v.problem("it ends with line %d, and the head says %d: %d lines are missing at the end", r.Last, n, n-r.Last)
	}
	if r.First > 1 && len(files) <= auditKept {
		v.problem("it begins with line %d, and too few files were put aside for that: older ones are missing", r.First)
	}
	if v.wantN > 0 && !v.met {
		v.problem("it has no line %d with the hash that was noted", v.wantN)
	}
	r.Head = fmt.Sprintf("%d:%s", r.Last, v.hash)
	return *r, nil
}

// line checks the next line. n and hash are those of the head.
func (v *verifier) line(where string, line []byte, whole bool, n uint64, hash string) {
	r := &v.report
	c, err := parseChained(line)
	v.explain(c, err == nil && whole)
	if err != nil || !whole {
		v.torn = &piece{where: where, hash: lineHash(line), open: !whole, begin: bytes.Clone(line)}
		return
	}
	r.Lines++
	switch {
	case r.First == 0:
		r.First = c.N
		if c.N == 1 && c.Prev != firstPrev {
			v.problem("%s: line 1 is bound to a line before it", where)
		}
	case c.Prev != v.hash:
		v.problem("%s: line %d is not bound to the line before it: that was changed, or lines between are missing", where, c.N)
	case c.N != r.Last+1 && c.Act != actDamaged:
		v.problem("%s: line %d comes after line %d", where, c.N, r.Last)
	}
	if c.Act == actInterrupted {
		v.note("%s: the writer before had ended in the middle of a line", where)
	}
	if c.Act == actDamaged {
		v.problem("%s: the daemon found the log damaged", where)
	}
	var at struct{ Time time.Time }
	if json.Unmarshal(line, &at) == nil {
		if r.Since.IsZero() {
			r.Since = at.Time
		}
		r.Until = at.Time
	}
	r.Last, v.hash = c.N, lineHash(line)
	v.met = v.met || c.N == v.wantN && v.hash == v.wantHash
	if c.N == n && v.hash != hash {
		v.problem("%s: line %d is not the one that the head says", where, c.N)
	}
}

// explain takes the line after one that is not whole: it says that its writer was interrupted, or else that is a problem.
func (v *verifier) explain(c chained, whole bool) {
	if v.torn == nil {
		return
	}
	if !whole || c.Act != actInterrupted || c.Torn != v.torn.hash || c.Prev != v.hash || c.N != v.report.Last+1 {
		v.problem("%s: the line is not whole", v.torn.where)
		v.hash = v.torn.hash
	}
	v.torn = nil
}
