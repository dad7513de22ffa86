package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"time"
)

// pings is what the ping role measured; times in nanoseconds.
type pings struct {
	N        int `json:"n"`
	P50, P99 time.Duration
	Max      time.Duration
	Lost     int `json:"lost"` // no answer; they count with the time that was waited for them
}

// pingSize is the size of a message: a number and when it was sent.
const pingSize = 16

// answerTime is how long the last answers are waited for.
const answerTime = 5 * time.Second

// runPing is the ping role: args are an address, a duration, and the interval. Interval 0 means that the next message is sent
// when the last has come back; otherwise one is sent each interval whatever comes back, so that a
// pause counts for every message that would have met it.
func runPing(args []string, out io.Writer) error {
	if len(args) != 3 {
		return fmt.Errorf("got %d arguments, want address, duration, interval", len(args))
	}
	duration, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	interval, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	if err := roundTrip(c); err != nil { // the way is there before the clock runs
		return err
	}
	if err := c.SetDeadline(time.Now().Add(duration + startTime)); err != nil {
		return err
	}
	var p pings
	if interval == 0 {
		p, err = pingByTurns(c, duration)
	} else {
		p, err = pingByClock(c, duration, interval)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(p)
}

func pingByTurns(c net.Conn, duration time.Duration) (pings, error) {
	var took []time.Duration
	buf := make([]byte, pingSize)
	begin := time.Now()
	for at := begin; at.Sub(begin) < duration; {
		if _, err := c.Write(buf); err != nil {
			return pings{}, err
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return pings{}, err
		}
		now := time.Now()
		took = append(took, now.Sub(at))
		at = now
	}
	return summarize(took, 0), nil
}

func pingByClock(c net.Conn, duration, interval time.Duration) (pings, error) {
	begin := time.Now()
	n := max(1, int(duration/interval))
	took := make(chan []time.Duration, 1)
	go func() { // ends with the last answer, or when the deadline below is over
		var all []time.Duration
		buf := make([]byte, pingSize)
		for range n {
			if _, err := io.ReadFull(c, buf); err != nil {
				break
			}
			all = append(all, time.Since(begin)-time.Duration(binary.BigEndian.Uint64(buf[8:])))
		}
		took <- all
	}()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var sent []time.Duration
	buf := make([]byte, pingSize)
	var werr error
	for i := 0; i < n && werr == nil; i++ {
		now := time.Since(begin)
		binary.BigEndian.PutUint64(buf, uint64(i))
		binary.BigEndian.PutUint64(buf[8:], uint64(now))
		if _, werr = c.Write(buf); werr == nil {
			sent = append(sent, now)
			<-ticker.C
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(answerTime)); err != nil && werr == nil {
		werr = err
	}
	all := <-took
	if werr != nil {
		return pings{}, werr
	}
	lost := sent[len(all):] // answers come in order
	for _, at := range lost {
		all = append(all, time.Since(begin)-at)
	}
	return summarize(all, len(lost)), nil
}

func summarize(took []time.Duration, lost int) pings {
	if len(took) == 0 {
		return pings{}
	}
	slices.Sort(took)
	return pings{N: len(took), P50: quantile(took, 0.5), P99: quantile(took, 0.99), Max: took[len(took)-1], Lost: lost}
}

// quantile is the nearest rank in a sorted list.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// ping runs the ping role on the client's machine through the system.
func (in *instance) ping(ctx context.Context, w *world, duration, interval time.Duration) (pings, error) {
	out, err := run(ctx, in.site.place(clientRole), nil, w.self, rolePing, in.echo, duration.String(), interval.String())
	if err != nil {
		return pings{}, err
	}
	var p pings
	if err := json.Unmarshal([]byte(strings.TrimSpace(out)), &p); err != nil {
		return pings{}, fmt.Errorf("read ping's answer: %w", err)
	}
	if p.N == 0 {
		return pings{}, fmt.Errorf("no round trip in %v", duration)
	}
	return p, nil
}
