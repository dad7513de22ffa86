package relay

import (
	"errors"
	"time"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// client is one client's WebSocket. Its goroutine (run) reads; anybody writes, through out.
type client struct {
	srv       *Server
	conn      *wsconn.Conn
	session   *session
	reader    *reader
	out       *outbox
	handshake *time.Timer
}

func newClient(srv *Server, conn *wsconn.Conn, r *reader, s *session) *client {
	c := &client{srv: srv, conn: conn, reader: r, session: s, out: newOutbox(srv, conn)}
	r.start(conn, srv.cfg.Limits.Client, &srv.stats, c.tooFast)
	return c
}

// tooFast tells the client that it is slowed down; not before HandshakeAccept has passed (spec section 5).
func (c *client) tooFast() {
	if c.session.accepted.Load() {
		c.out.push(sbrp.AppendControl(nil, 0, sbrp.CodeRateLimited, codeTexts[sbrp.CodeRateLimited]))
		c.out.kick()
	}
}

// run serves the client until its connection has ended.
func (c *client) run() {
	c.srv.stats.clients.Add(1)
	defer c.srv.stats.clients.Add(-1)
	c.srv.track(c)
	defer c.srv.untrack(c)
	c.handshake = time.AfterFunc(c.srv.cfg.HandshakeTimeout, func() { c.srv.owned(c.handshakeOver) })
	defer c.handshake.Stop()
	c.session.slot.awaitArrival()
	c.session.slot.open(c.session, c)
	defer c.session.slot.remove(c.session)
	defer c.out.abandon()
	// Before that: the daemon hears at once that the client is over, and not when the client has been said good-bye to.
	defer c.session.slot.event(c.session, clientCloses)
	defer c.srv.recovered(c.fail)
	if e, ok := c.reader.read(c.frame); ok {
		c.out.finish(e)
	}
}

// handshakeOver ends the client if its handshake has not finished.
func (c *client) handshakeOver() {
	if !c.session.accepted.Load() {
		c.session.slot.event(c.session, handshakeOver)
	}
}

// fail ends the client after a failure of our own.
func (c *client) fail() { c.out.finish(endWith(sbrp.CodeInternalError, 0)) }

func (c *client) shutdown()                          { c.out.finish(endShutdown) }
func (c *client) kick()                              { c.out.kick() }
func (c *client) cut()                               { c.conn.CloseNow() }
func (c *client) ping()                              { c.conn.PingWS() }
func (c *client) stuck(now time.Time) time.Duration  { return c.reader.stuck(now) }
func (c *client) silent(now time.Time) time.Duration { return c.reader.silent(now) }

// frame handles one message. An error that is not nil ends the client with its code.
func (c *client) frame(msg []byte) error {
	f, err := sbrp.ParseFrame(msg)
	if err != nil {
		return err
	}
	if err := sbrp.CheckSender(f, sbrp.RoleClient, c.session.id); err != nil {
		return err
	}
	switch f.Type {
	case sbrp.FramePing:
		c.out.push(sbrp.AppendPong(nil, f.Payload))
		c.out.kick()
	case sbrp.FramePong: // an answer to nothing that we asked; it has shown life
	case sbrp.FrameHandshakeInit, sbrp.FrameData:
		c.forward(f.Type, msg)
	default:
		return errUnhandled
	}
	return nil
}

// errUnhandled is a frame type that CheckSender passes and nobody handles: our own mistake.
var errUnhandled = errors.New("frame type is not handled")

// forward sends the same bytes to the daemon.
func (c *client) forward(t sbrp.FrameType, msg []byte) {
	d := c.session.slot.toDaemon(c.session)
	if d == nil {
		c.srv.discard(discardNotPaired)
		return
	}
	if t == sbrp.FrameHandshakeInit && c.session.initiated.Swap(true) {
		// Section 6: a handshake in a session that has one is discarded, the session goes on.
		c.srv.discard(discardHandshake)
		return
	}
	if err := d.out.send(msg); err != nil {
		// In flight when the daemon's connection dropped. The session's end or pause is told by whoever reads from it.
		c.srv.discard(discardNotPaired)
		return
	}
	c.srv.stats.toDaemon.add(len(msg))
}
