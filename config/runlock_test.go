package config

import (
	"errors"
	"testing"
)

func TestTryLock(t *testing.T) {
	a := openDir(t)
	b := openAt(t, a.Path())
	unlock, err := a.TryLock("some.lock")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Dir{a, b} {
		if _, err := d.TryLock("some.lock"); !errors.Is(err, ErrLocked) {
			t.Errorf("second lock: got %v, want ErrLocked", err)
		}
	}
	other, err := b.TryLock("other.lock")
	if err != nil {
		t.Errorf("another lock: %v", err)
	} else {
		other()
	}
	unlock()
	unlock()
	again, err := b.TryLock("some.lock")
	if err != nil {
		t.Fatalf("lock that was dropped: %v", err)
	}
	again()
}
