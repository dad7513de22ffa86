package config

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// TryLock takes the lock file name in the directory for as long as something
// runs, without waiting: ErrLocked says that another process, or another part
// of this one, has it. The system drops it when the process dies, however that
// happens. unlock may be called more than once.
func (d *Dir) TryLock(name string) (unlock func(), err error) {
	f, err := d.OpenFile(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	ok, err := tryLock(f)
	if ok {
		return func() { _ = f.Close() }, nil // closing drops the lock
	}
	_ = f.Close() // not locked
	if err == nil {
		err = ErrLocked
	}
	return nil, fmt.Errorf("lock %s: %w", d.File(name), err)
}

// Lock is TryLock that waits, for so long at most, until nobody has the lock any more.
func (d *Dir) Lock(name string, most time.Duration) (unlock func(), err error) {
	if unlock, err = d.TryLock(name); !errors.Is(err, ErrLocked) {
		return unlock, err
	}
	deadline := time.NewTimer(most)
	defer deadline.Stop()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-deadline.C:
			return nil, err
		}
		if unlock, err = d.TryLock(name); !errors.Is(err, ErrLocked) {
			return unlock, err
		}
	}
}
