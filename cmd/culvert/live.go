package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	// liveDelay is how long a wait lasts before it is shown: most are over by then.
	liveDelay = 700 * time.Millisecond
	// liveTick is how often the line is drawn anew.
	liveTick = time.Second
)

// live is one line below all others on a terminal: what the command waits for, and for how
// long. It is drawn anew in place and erased before anything else is written. The printer's
// mu guards it.
//
// The cursor stays at the line's begin. So what is to be erased is always from there to the
// end of the screen, also when a terminal was made narrower and has broken the line in two.
// Only ASCII is drawn, which every console shows in one column a letter.
type live struct {
	on         bool // there is a terminal that can do it; set before the first wait
	width      func() (columns int)
	foreground func() bool

	waits  []wait // oldest first
	paused bool   // a question is being answered
	drawn  bool
	timer  *time.Timer // nil before the first wait
}

// wait is something that the command waits for.
type wait struct {
	key   string // what it is about; a new wait with this key replaces it
	text  string
	since time.Time
}

// newLive makes a line for a terminal that can do it.
func newLive(on bool, fd int) live {
	return live{on: on, foreground: inForeground, width: func() int {
		columns, _, err := term.GetSize(fd)
		if err != nil {
			return 80
		}
		return columns
	}}
}

// wait says what the command waits for, until done is called with the key. What has been
// waited for already goes on counting with the new text.
func (p *printer) wait(key, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.live.on || p.json || p.quiet {
		return
	}
	i := slices.IndexFunc(p.live.waits, func(w wait) bool { return w.key == key })
	if i < 0 {
		p.live.waits = append(p.live.waits, wait{key, text, time.Now()})
	} else {
		p.live.waits[i].text = text
	}
	p.redraw()
}

// done ends a wait.
func (p *printer) done(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(p.live.waits)
	p.live.waits = slices.DeleteFunc(p.live.waits, func(w wait) bool { return w.key == key })
	if len(p.live.waits) < before {
		p.redraw()
	}
}

// endWaits ends all of them, and with off there are no more.
func (p *printer) endWaits(off bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live.waits = nil
	p.live.on = p.live.on && !off
	p.redraw()
}

// pause keeps the line off the screen while a person answers a question.
func (p *printer) pause(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live.paused = paused
	p.redraw()
}

// redraw draws the line, or erases it, and has it drawn again when it will have changed. mu
// is held.
func (p *printer) redraw() {
	l := &p.live
	if l.timer != nil {
		l.timer.Stop()
	}
	if len(l.waits) == 0 || l.paused || !l.on {
		p.erase()
		return
	}
	next := liveTick
	if age := time.Since(l.foremost().since); age < liveDelay {
		next = liveDelay - age
		p.erase()
	} else if l.foreground() { // a shell's background job leaves the screen to others
		_, _ = io.WriteString(p.stderr, "\r"+l.text(time.Now())+"\x1b[J\r") // as in write
		l.drawn = true
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(next, p.tick)
	} else {
		l.timer.Reset(next)
	}
}

func (p *printer) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.redraw()
}

// erase takes the line off the screen. mu is held.
func (p *printer) erase() {
	if p.live.drawn {
		_, _ = io.WriteString(p.stderr, "\r\x1b[J") // as in write
		p.live.drawn = false
	}
}

// foremost is the wait that is shown: the oldest, but for targets, which come after the way
// to them.
func (l *live) foremost() wait {
	i := slices.IndexFunc(l.waits, func(w wait) bool { return !strings.HasPrefix(w.key, targetPrefix) })
	return l.waits[max(i, 0)]
}

// text is the line as far as it goes; the last column stays free, where terminals differ on
// what comes next.
func (l *live) text(now time.Time) string {
	first := l.foremost()
	text := first.text
	if age := now.Sub(first.since); age >= time.Second {
		text += "   " + ago(first.since, now)
	}
	if n := len(l.waits) - 1; n > 0 {
		text += fmt.Sprintf("   (and %d more)", n)
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), max(l.width()-1, 0))]
}
