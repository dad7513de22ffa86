package tunnel

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// ConnInfo is one local connection of a forward.
type ConnInfo struct {
	ID        uint64 // unique within the Forward
	From      net.Addr
	Target    string
	Since     time.Time
	BytesUp   int64 // to the target so far
	BytesDown int64 // from the target so far
}

// forwarded is one local connection.
type forwarded struct {
	f        *Forward
	local    duplex
	info     ConnInfo
	up, down atomic.Int64
	open     bool // the target is connected; owned by the goroutine that reads the stream, then by run
}

// run opens a stream and copies until both directions have ended.
func (fc *forwarded) run(ctx context.Context) {
	f := fc.f
	defer f.active.Add(-1)
	defer f.removeConn(fc)
	if f.cfg.Spec.SOCKS {
		fc.runSOCKS(ctx)
		return
	}
	if f.cfg.RefuseWhenHeld && !f.cfg.Live() {
		fc.refuse(ErrHeld)
		return
	}
	// What the program sends meanwhile waits in its socket.
	openCtx, cancel := f.waitForLink(ctx)
	conn, err := Start(openCtx, f.cfg.Opener, f.cfg.Spec.Target)
	cancel()
	if err != nil {
		fc.refuse(err)
		return
	}
	conn.onOK = fc.opened
	stop := context.AfterFunc(ctx, func() {
		_ = fc.local.Reset()
		_ = conn.Reset()
	})
	defer stop()
	err = pipe(fc.local, conn, bothCounters{&fc.up, &f.up}, bothCounters{&fc.down, &f.down})
	if !fc.open {
		fc.refuse(err)
		return
	}
	f.log.Debug("connection ended", "target", f.cfg.Spec.Target, "id", fc.info.ID, "err", err)
	if f.cfg.OnClose != nil {
		f.cfg.OnClose(fc.snapshot(), err)
	}
}

func (fc *forwarded) opened() {
	fc.open = true
	fc.f.opened.Add(1)
	fc.f.addConn(fc)
	if fc.f.cfg.OnOpen != nil {
		fc.f.cfg.OnOpen(fc.snapshot())
	}
}

// refuse resets the local connection, so that the program sees a refused
// connection and not an empty one.
func (fc *forwarded) refuse(err error) {
	_ = fc.local.Reset()
	fc.f.refused.Add(1)
	fc.f.log.Debug("connection refused", "target", fc.info.Target, "id", fc.info.ID, "err", err)
	if fc.f.cfg.OnRefuse != nil {
		fc.f.cfg.OnRefuse(fc.snapshot(), err)
	}
}

func (fc *forwarded) snapshot() ConnInfo {
	info := fc.info
	info.BytesUp, info.BytesDown = fc.up.Load(), fc.down.Load()
	return info
}
