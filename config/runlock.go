package config

import (
	"fmt"
	"os"
)

// TryLock takes the lock file name in the directory for as long as something
// runs, without waiting: ErrLocked says that another process, or another part
// of this one, has it. The system drops it when the process dies, however that
// happens. unlock may be called more than once.
func (d *Dir) TryLock(name string) (unlock func(), err error) {
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", d.File(name), underlying(err))
	}
	ok := false
	if err = d.owner.give(f); err == nil {
		ok, err = tryLock(f)
	}
	if ok {
		return func() { _ = f.Close() }, nil // closing drops the lock
	}
	_ = f.Close() // not locked
	if err == nil {
		err = ErrLocked
	}
	return nil, fmt.Errorf("lock %s: %w", d.File(name), err)
}
