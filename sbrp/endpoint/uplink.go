package endpoint

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"culvert/sbrp/wsconn"
)

// uplink is one WebSocket to a relay, with its keepalive. It starts two
// goroutines (keep, scribe), which end when it is lost; wait waits for them.
//
// It never comes back: a new WebSocket is a new uplink. All methods may be
// called concurrently, read by one caller at a time.
type uplink struct {
	wire   Wire
	log    *slog.Logger
	live   liveness
	opened time.Time
	out    *outbox
	// extra is asked at each check of the keeper: it may end the uplink by
	// itself and returns when to ask again. May be nil.
	extra func(now time.Time) time.Duration
	// onLost is called once, after lost was closed. It must not block.
	onLost func(error)

	// turn is the lock of the socket. A channel of one slot: whoever waits is
	// served in the order of arrival, and the waiting can be given up.
	turn chan struct{}

	nudge chan struct{} // one slot: check again now
	lost  chan struct{} // closed when the WebSocket is over
	once  sync.Once
	err   error // why; set before lost is closed
	wg    sync.WaitGroup

	// Times are nanoseconds since opened, plus one; zero means "not".
	reading    atomic.Int64 // when the present Read began
	messageAt  atomic.Int64 // when the last message came
	firstWrite atomic.Int64 // first write that nothing was heard since
	lastWrite  atomic.Int64 // last write of any message of a session
	writing    atomic.Int32 // writes in progress
	suspect    atomic.Bool  // probe was called

	paceMu sync.Mutex
	pace   throttle // guarded by paceMu
	paced  atomic.Int64
}

func newUplink(w Wire, l liveness, sessions int, log *slog.Logger) *uplink {
	return &uplink{
		wire:   w,
		log:    log,
		live:   l,
		opened: time.Now(),
		out:    newOutbox(sessions),
		turn:   make(chan struct{}, 1),
		nudge:  make(chan struct{}, 1),
		lost:   make(chan struct{}),
	}
}

// start starts the keepalive.
func (u *uplink) start() {
	u.wg.Go(u.keep)
	u.wg.Go(u.scribe)
}

// wait waits for the uplink's goroutines. The uplink has been lost by then or
// is being so.
func (u *uplink) wait() { u.wg.Wait() }

// stamp is now as the atomics hold it.
func (u *uplink) stamp() int64 { return int64(time.Since(u.opened)) + 1 }

// at is the reverse of stamp.
func (u *uplink) at(stamp int64) time.Time {
	if stamp == 0 {
		return time.Time{}
	}
	return u.opened.Add(time.Duration(stamp - 1))
}

// fail ends the uplink; err says why, and only the first call counts.
func (u *uplink) fail(err error) {
	u.once.Do(func() { u.finish(err) })
	u.wire.CloseNow()
}

// bye is fail with a polite good-bye: the frames written so far then reach a
// relay that still reads. It may take some seconds; a fail meanwhile cuts it
// short.
func (u *uplink) bye(err error, code wsconn.StatusCode) {
	u.once.Do(func() { u.finish(err) })
	u.wire.Close(code, "")
}

// finish is what both do once.
func (u *uplink) finish(err error) {
	u.err = err
	close(u.lost)
	if u.onLost != nil {
		u.onLost(err)
	}
}

// isLost reports whether the uplink is over.
func (u *uplink) isLost() bool {
	select {
	case <-u.lost:
		return true
	default:
		return false
	}
}

// read reads one message. Its error has ended the uplink.
func (u *uplink) read(buf []byte) (int, error) {
	u.reading.Store(u.stamp())
	n, err := u.wire.Read(buf)
	u.messageAt.Store(u.stamp())
	u.reading.Store(0)
	return n, unframed(err)
}

// write sends one message of a session: when its turn comes, first come first
// served. It gives up waiting, not writing, when quit is closed, with errQuit.
// Any other error has ended the uplink.
func (u *uplink) write(frame []byte, quit <-chan struct{}) error {
	select {
	case u.turn <- struct{}{}:
	default:
		select {
		case u.turn <- struct{}{}:
		case <-u.lost:
			return u.err
		case <-quit:
			return errQuit
		}
	}
	u.writing.Add(1)
	now := u.stamp()
	u.lastWrite.Store(now)
	if u.firstWrite.CompareAndSwap(0, now) {
		u.recheck() // the keeper may be asleep for long
	}
	err := u.wire.Write(frame)
	u.writing.Add(-1)
	<-u.turn
	if err != nil {
		u.fail(fmt.Errorf("write to relay: %w", err))
		return u.err
	}
	return nil
}

// recheck makes the keeper look now.
func (u *uplink) recheck() {
	select {
	case u.nudge <- struct{}{}:
	default: // it will look anyway
	}
}

// probe makes the keeper ask the relay for a sign of life at once, and once more
// after probeAgain: there is reason to doubt the path.
func (u *uplink) probe() {
	u.suspect.Store(true)
	u.recheck()
}

// limited notes a rate_limited of the relay.
func (u *uplink) limited() {
	u.paceMu.Lock()
	until := u.pace.limited(time.Now())
	u.paceMu.Unlock()
	u.paced.Store(int64(until.Sub(u.opened)) + 1)
}

// hold returns how long sending has to pause for rate_limited.
func (u *uplink) hold() time.Duration {
	p := u.paced.Load()
	if p == 0 {
		return 0
	}
	d := time.Until(u.at(p))
	if d <= 0 {
		u.paced.CompareAndSwap(p, 0)
		return 0
	}
	return d
}

// scribe writes the small frames of the outbox. They wait for their turn like
// every other.
func (u *uplink) scribe() {
	for {
		l, ok := u.out.next()
		if !ok {
			select {
			case <-u.out.wake:
				continue
			case <-u.lost:
				return
			}
		}
		select {
		case u.turn <- struct{}{}:
		case <-u.lost:
			return
		}
		err := u.wire.Write(l.frame())
		<-u.turn
		if err != nil {
			u.fail(fmt.Errorf("write to relay: %w", err))
			return
		}
		if l.then != nil {
			l.then()
		}
	}
}

// keep is the keeper: it watches the timestamps, asks for pings and ends a
// dead uplink. It never touches the socket but to close it, so that it works
// while writes are stuck.
func (u *uplink) keep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var (
		lastPing, probed time.Time
		again            time.Time // the second question about a doubt; zero: none
		pings            uint64
	)
	for {
		select {
		case <-u.lost:
			return
		case <-u.nudge:
		case <-timer.C:
		}
		now := time.Now()
		p := u.pulse()
		p.lastPing, p.probed, p.probeNow = lastPing, probed, u.suspect.Swap(false)
		if p.probeNow {
			again = now.Add(probeAgain)
		} else if !again.IsZero() && !now.Before(again) {
			p.probeNow, again = true, time.Time{}
		}
		v := u.live.check(now, p)
		if v.dead {
			u.fail(&SilenceError{Why: v.why, Silent: now.Sub(latest(p.opened, p.heard))})
			return
		}
		if v.ping {
			pings++
			u.out.addPing(binary.BigEndian.AppendUint64(nil, pings))
			lastPing = now
		}
		if v.probe {
			probed = now
		}
		next := v.next
		if !again.IsZero() {
			next = min(next, again.Sub(now))
		}
		if u.extra != nil {
			next = min(next, u.extra(now))
		}
		timer.Reset(next)
	}
}

// pulse reads the timestamps. Only the keeper calls it.
func (u *uplink) pulse() pulse {
	heard := latest(u.at(u.messageAt.Load()), u.wire.LastReceive())
	p := pulse{opened: u.opened, heard: heard, readingSince: u.at(u.reading.Load())}
	first := u.firstWrite.Load()
	if first != 0 && heard.After(u.at(first)) {
		// That write has been followed by something from the relay. If more was
		// written since, or is being written, the wait counts from what was heard.
		from := int64(heard.Sub(u.opened)) + 1
		if u.writing.Load() > 0 {
			u.firstWrite.Store(from)
		} else {
			u.firstWrite.Store(0)
			if u.lastWrite.Load() > from {
				u.firstWrite.CompareAndSwap(0, from)
			}
		}
	}
	p.firstWrite = u.at(u.firstWrite.Load())
	return p
}
