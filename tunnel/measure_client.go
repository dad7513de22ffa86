package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// Ping measures round trips to the daemon on one stream, one after the other with a pause
// between them, and tells of each, until ctx ends; that is the error then. The message has
// the size of a keystroke's.
func Ping(ctx context.Context, o Opener, pause time.Duration, got func(time.Duration)) error {
	return withMeasure(ctx, o, MeasureEcho, func(c *Conn) error {
		var sent, back [16]byte
		for i := uint64(1); ; i++ {
			binary.BigEndian.PutUint64(sent[:], i)
			begin := time.Now()
			if _, err := c.Write(sent[:]); err != nil {
				return err
			}
			if _, err := io.ReadFull(c, back[:]); err != nil {
				return noEOF(err)
			}
			rtt := time.Since(begin)
			if sent != back {
				return errors.New("measure round trip: what came back is not what was sent")
			}
			got(rtt)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
}

// Download has the daemon send limit bytes and tells how many have come so far, until all
// have or ctx ends, which is the error then.
func Download(ctx context.Context, o Opener, limit uint64, got func(total uint64)) error {
	return withMeasure(ctx, o, MeasureSource, func(c *Conn) error {
		if _, err := c.Write(binary.BigEndian.AppendUint64(nil, limit)); err != nil {
			return err
		}
		buf := make([]byte, 2*measureChunk)
		for total := uint64(0); total < limit; {
			n, err := c.Read(buf)
			total += uint64(n)
			got(total)
			if err != nil {
				return noEOF(err)
			}
		}
		return nil
	})
}

// Upload sends the daemon limit bytes and tells, ten times a second, how many it says have
// come so far, until all have or ctx ends, which is the error then.
func Upload(ctx context.Context, o Opener, limit uint64, got func(total uint64)) error {
	return withMeasure(ctx, o, MeasureSink, func(c *Conn) error {
		written := make(chan error, 1)
		go func() { // waited for below
			err := writeNoise(c, limit, func(int) {})
			if err == nil {
				err = c.CloseWrite()
			}
			written <- err
		}()
		err := readReports(c, limit, got)
		if err != nil {
			_ = c.Reset() // ends the writing
		}
		if werr := <-written; err == nil {
			err = werr
		}
		return err
	})
}

// readReports reads what a sink says has come, until that is limit.
func readReports(r io.Reader, limit uint64, got func(total uint64)) error {
	for total := uint64(0); total < limit; {
		var report [8]byte
		if _, err := io.ReadFull(r, report[:]); err != nil {
			return noEOF(err)
		}
		n := binary.BigEndian.Uint64(report[:])
		if n < total || n > limit {
			return errors.New("measure upload: the daemon counts what cannot be")
		}
		total = n
		got(total)
	}
	return nil
}

// withMeasure opens a measuring stream, runs use on it and ends it. Reading and writing end
// when ctx does.
func withMeasure(ctx context.Context, o Opener, what Measure, use func(*Conn) error) error {
	c, err := ask(ctx, o, request{kind: KindMeasure, target: string(what)})
	if err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Time{}) // an ended stream says so on reading
	stop := context.AfterFunc(ctx, func() { _ = c.Reset() })
	defer stop()
	err = use(c)
	if err != nil {
		_ = c.Reset() // the daemon need not go on
		return causeOf(ctx, err)
	}
	_ = c.Close() // both directions are done
	return nil
}
