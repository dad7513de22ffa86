package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"culvert/config"
)

const (
	auditFile = "audit.log"
	// auditSize is how large the file gets before it is put aside: some 200,000 acts.
	auditSize = 50 << 20
	// auditKept is how many that were put aside are kept, as audit.log.1 (the newest) and so on.
	auditKept = 9
	// auditWait is how long a line of a chained log waits for another process's, which takes less than a millisecond.
	auditWait = 2 * time.Second
	// auditLock is the suffix of the lock's name.
	auditLock = ".lock"
)

// auditLog is the audit log of a state directory: a line of JSON for each act. Other processes,
// such as `culvert relay key create`, may write to it at the same time. It is an io.Writer
// for a slog handler, which writes one line at a time; its methods may run concurrently.
//
// In a chained log each line is bound to the one before (see chain); a lock lets one process after the other write.
type auditLog struct {
	dir  *config.Dir // outlives the log
	name string
	most int64 // bytes

	mu    sync.Mutex // guards what follows
	file  *os.File
	size  int64
	chain *chain // nil: the lines stand for themselves
}

// openAudit opens the audit log. Nobody else may read it: it says who talks to whom.
func openAudit(dir *config.Dir) (*auditLog, error) {
	l := &auditLog{dir: dir, name: auditFile, most: auditSize}
	if err := l.open(); err != nil {
		return nil, errorf(CodeConfig, "audit", "check --state-dir", "open audit log: %w", err)
	}
	return l, nil
}

// logger returns the logger for acts. When it cannot write it complains in log, and whoever
// acts goes on.
func (l *auditLog) logger(log *slog.Logger) *slog.Logger {
	h := slog.NewJSONHandler(l, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		switch {
		case len(groups) > 0:
		case a.Key == slog.LevelKey:
			return slog.Attr{} // they are all alike
		case a.Key == slog.MessageKey:
			a.Key = "act"
		}
		return a
	}})
	return slog.New(loud{h, log})
}

// openChained opens a chained log of another name in the state directory.
func openChained(dir *config.Dir, name string) (*auditLog, error) {
	l := &auditLog{dir: dir, name: name, most: auditSize, chain: &chain{}}
	unlock, err := dir.Lock(name+auditLock, auditWait)
	if err == nil {
		defer unlock()
		err = l.open()
	}
	if err != nil {
		return nil, errorf(CodeConfig, "audit", "check --state-dir", "open audit log: %w", err)
	}
	return l, nil
}

// open opens the file and, of a chained log, finds out how it ends. The caller has mu and the lock.
func (l *auditLog) open() error {
	f, err := l.dir.OpenFile(l.name, os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return err
	}
	var damage []byte
	if l.chain != nil {
		damage, err = l.chain.resume(l.dir, l.name)
	}
	if err == nil && damage != nil {
		if _, err = f.Write(damage); err == nil {
			err = l.chain.wrote(bytes.TrimPrefix(damage, []byte("\n")))
		}
	}
	var info fs.FileInfo
	if err == nil {
		info, err = f.Stat()
	}
	if err != nil {
		_ = f.Close() // failed already
		return err
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write appends one line.
func (l *auditLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.chain != nil {
		unlock, err := l.dir.Lock(l.name+auditLock, auditWait)
		if err != nil {
			return 0, err
		}
		defer unlock()
		l.catchUp()
	}
	if l.file == nil { // it could not be opened again the last time
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	if l.size > 0 && l.size+int64(len(line)) > l.most {
		if err := l.turn(); err != nil {
			return 0, err
		}
	}
	if l.chain != nil {
		return len(line), l.append(l.chain.link(line))
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

// catchUp closes the file if another process has written to the log, or put it aside, since this one has.
func (l *auditLog) catchUp() {
	if l.file == nil {
		return
	}
	mine, err := l.file.Stat()
	now, serr := os.Stat(l.dir.File(l.name))
	if err != nil || serr != nil || !os.SameFile(mine, now) || now.Size() != l.size {
		_ = l.file.Close() // whole lines are in it
		l.file = nil
	}
}

// append writes a line of a chained log. After an error the log is opened anew, which finds out how it ends. The caller has mu.
func (l *auditLog) append(line []byte) error {
	n, err := l.file.Write(line)
	l.size += int64(n)
	if err == nil {
		err = l.chain.wrote(line)
	}
	if err != nil {
		_ = l.file.Close() // failed already
		l.file = nil
	}
	return err
}

// turn puts the file aside and begins another. The caller has mu.
func (l *auditLog) turn() error {
	err := l.file.Close()
	l.file = nil
	if err != nil {
		return err
	}
	for n := auditKept; n > 1; n-- {
		if err := l.dir.Rename(fmt.Sprintf("%s.%d", l.name, n-1), fmt.Sprintf("%s.%d", l.name, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := l.dir.Rename(l.name, l.name+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return l.open()
}

// Close closes the file; what is written later opens it again.
func (l *auditLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.chain != nil && l.chain.head != nil {
		_ = l.chain.head.Close() // what was written to it has said so
		l.chain.head = nil
	}
	if l.file == nil {
		return fs.ErrClosed
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// loud is the handler of an audit log that does not fail silently.
type loud struct {
	slog.Handler
	log *slog.Logger
}

func (h loud) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if err != nil {
		h.log.Error("cannot write the audit log", "act", r.Message, "err", err)
	}
	return err
}

// auditLocal does an act at the relay's own machine, past the control plane, by whoever may use
// its state directory; if it was done, a line about it is written. What cannot be written down
// is not done.
func auditLocal(o KeyStoreOptions, act string, do func() (args []any, err error)) error {
	dir, err := openDir(o.StateDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	l, err := openAudit(dir)
	if err != nil {
		return err
	}
	defer l.Close()
	args, err := do()
	if err == nil {
		l.logger(logger(o.Logger)).Info(act, append([]any{"remote", "local", "uid", os.Getuid()}, args...)...)
	}
	return err
}
