package config

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"time"
)

const (
	// watchPoll is how often Watch looks at the file, so that a grant that an
	// editor takes away ends its streams within a second. Four stats a second cost
	// nothing, work on every file system, and need no notification API.
	watchPoll = time.Second / 4
	// settle is how long an editor may take from emptying or removing the file to
	// having written it again: until then it takes nobody's grant away. A file that
	// was emptied for good does so after it; with watchPoll that is within a second.
	settle = 300 * time.Millisecond
	// settled is the age from which a file's times can be believed: two
	// writes within one tick of the file system's clock (2 s on FAT) leave the
	// same time, so a younger file is read again although it looks unchanged.
	settled = 3 * time.Second
)

// fileState is what tells one version of a file from the next without reading
// it. The zero value is a missing or unreadable file, which is never believed.
type fileState struct {
	info fs.FileInfo
}

func stateOf(fi fs.FileInfo) fileState { return fileState{info: fi} }

// same tells whether the file has surely not changed since s was taken.
func (s fileState) same(fi fs.FileInfo, readAt time.Time) bool {
	return s.info != nil && os.SameFile(s.info, fi) &&
		s.info.Size() == fi.Size() && s.info.Mode() == fi.Mode() && s.info.ModTime().Equal(fi.ModTime()) &&
		readAt.Sub(fi.ModTime()) >= settled
}

// current returns the set of the file as it is now, and reports new problems.
func (a *AuthorizedClients) current() clientSet {
	a.mu.Lock()
	now := a.now()
	fi, err := a.dir.root.Stat(clientsFile)
	// The file's age counts from when it was read: if it was young then, a
	// later write may have left the same times.
	if !a.read || err != nil || !a.seen.same(fi, a.readAt) {
		before := a.set.inForce(now)
		if set, seen := a.loadClients(); !a.waits(before, set, now) {
			a.set, a.seen = set, seen
			a.read, a.readAt = true, now
			if !slices.EqualFunc(before, a.set.inForce(now), Grant.Equal) {
				a.version++
			}
		}
	}
	set, fresh, tell := a.set, a.freshProblems(), a.onProblem
	a.mu.Unlock()

	if tell != nil {
		for _, p := range fresh {
			tell(p)
		}
	}
	return set
}

// waits tells whether a file that looks as if somebody was about to write it, and that
// would take grants away, does not count yet. The caller holds mu.
func (a *AuthorizedClients) waits(before []Grant, next clientSet, now time.Time) bool {
	left := next.inForce(now)
	if !a.read || !next.unfinished || !slices.ContainsFunc(before, func(g Grant) bool { return !slices.ContainsFunc(left, g.Equal) }) {
		a.lost = time.Time{}
		return false
	}
	if a.lost.IsZero() {
		a.lost = now
	}
	return now.Sub(a.lost) < settle
}

// freshProblems returns the problems that have not been reported, and forgets
// those that are gone. The caller holds mu.
func (a *AuthorizedClients) freshProblems() []error {
	var all []error
	if a.set.err != nil {
		all = append(all, a.set.err)
	}
	for _, b := range a.set.bad {
		all = append(all, b)
	}
	still := make(map[string]bool, len(all))
	var fresh []error
	for _, p := range all {
		text := p.Error() // a key to remember it by, nothing is decided on it
		if !a.reported[text] {
			fresh = append(fresh, p)
		}
		still[text] = true
	}
	a.reported = still
	return fresh
}

// Watch calls changed each time the set of grants in force has changed: lines
// edited, added, removed or broken, and grants that have expired since. It
// looks four times a second, does not call changed for the set that it finds first,
// and blocks until ctx ends. Use it to drop the live streams of a client whose
// grant is gone.
func (a *AuthorizedClients) Watch(ctx context.Context, changed func()) error {
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	last, version := a.inForce()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		// The version tells of a change that was taken back between two looks: somebody
		// may have been admitted in between.
		now, v := a.inForce()
		if v != version || !slices.EqualFunc(last, now, Grant.Equal) {
			last, version = now, v
			changed()
		}
	}
}

// inForce returns the clients that are granted anything at this moment, and how often the
// file's clients have changed so far.
func (a *AuthorizedClients) inForce() ([]Grant, uint64) {
	set, now := a.current(), a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	return set.inForce(now), a.version
}

// inForce returns the clients that are granted anything at now.
func (s clientSet) inForce(now time.Time) []Grant {
	out := make([]Grant, 0, len(s.clients))
	for _, c := range s.clients {
		if !c.ExpiredAt(now) {
			out = append(out, c)
		}
	}
	return out
}
