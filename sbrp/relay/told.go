package relay

import "culvert/sbrp"

// maxTold bounds the memory of the sessions that a daemon was told have ended. A daemon that talks about more sessions
// than that is told again about the oldest.
const maxTold = 4096

// told remembers for which sessions a daemon's connection has had session_ended: once for each (spec section 5). Guarded by
// the slot.
type told struct {
	set  map[sbrp.SessionID]struct{}
	ring []sbrp.SessionID // in the order of arrival, from next on once it is full
	next int
}

// add reports whether id is new.
func (t *told) add(id sbrp.SessionID) bool {
	if _, ok := t.set[id]; ok {
		return false
	}
	if t.set == nil {
		t.set = make(map[sbrp.SessionID]struct{})
	}
	if len(t.ring) < maxTold {
		t.ring = append(t.ring, id)
	} else {
		delete(t.set, t.ring[t.next])
		t.ring[t.next] = id
		t.next = (t.next + 1) % maxTold
	}
	t.set[id] = struct{}{}
	return true
}

// forget makes id new again: a client has opened that session. (Its place in the ring stays; that only makes the memory
// a little shorter.)
func (t *told) forget(id sbrp.SessionID) { delete(t.set, id) }
