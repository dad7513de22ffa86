package tunnel

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

// SOCKSTarget is the Target of a ForwardSpec that is a SOCKS proxy: a label, for no
// target is asked for by that name.
const SOCKSTarget = "socks5"

// parseSOCKSForward parses what stands behind "socks5:".
func parseSOCKSForward(local string) (ForwardSpec, error) {
	f, err := parseTCPForward(local + ":" + SOCKSTarget)
	if err != nil || f.Target != SOCKSTarget || f.Port == TargetPort {
		return ForwardSpec{}, errors.New("write a SOCKS proxy as PORT or BIND:PORT, 0 for any free port")
	}
	f.SOCKS = true
	return f, nil
}

// ParseSOCKS parses the local address of a SOCKS proxy: PORT or BIND:PORT.
func ParseSOCKS(s string) (ForwardSpec, error) { return ParseForward(socksPrefix + s) }

// socksPrefix makes a SOCKS proxy of a forward.
const socksPrefix = SOCKSTarget + ":"

// runSOCKS learns from the client where it wants to go, and brings it there.
func (fc *forwarded) runSOCKS(ctx context.Context) {
	f := fc.f
	stop := context.AfterFunc(ctx, func() { _ = fc.local.Reset() })
	defer stop()
	_ = fc.local.SetDeadline(time.Now().Add(socksHandshakeTimeout)) // an ended socket says so on reading
	address, err := socksHandshake(fc.local)
	if err != nil {
		fc.refuseSOCKS(err)
		return
	}
	_ = fc.local.SetDeadline(time.Time{})
	fc.info.Target = address
	if f.cfg.RefuseWhenHeld && !f.cfg.Live() {
		fc.refuseSOCKS(ErrHeld)
		return
	}
	openCtx, cancel := f.waitForLink(ctx)
	conn, err := fc.connectInside(openCtx, address)
	cancel()
	if err != nil {
		fc.refuseSOCKS(err)
		return
	}
	stopConn := context.AfterFunc(ctx, func() { _ = conn.Reset() })
	defer stopConn()
	fc.info.Target = conn.target
	fc.opened()
	if _, err = fc.local.Write(appendSOCKSReply(make([]byte, 0, socksReplySize), socksOK)); err != nil {
		_ = conn.Reset()
		_ = fc.local.Reset()
	} else {
		err = pipe(fc.local, conn, bothCounters{&fc.up, &f.up}, bothCounters{&fc.down, &f.down})
	}
	f.log.Debug("connection ended", "target", fc.info.Target, "id", fc.info.ID, "err", err)
	if f.cfg.OnClose != nil {
		f.cfg.OnClose(fc.snapshot(), err)
	}
}

// connectInside connects to an address through the first network target that has it: the
// daemon says which, for it resolves the names and knows its networks. The network that
// served the last connection is asked first.
func (fc *forwarded) connectInside(ctx context.Context, address string) (*Conn, error) {
	networks := slices.Clone(fc.f.cfg.Networks())
	if last, ok := fc.f.lastNetwork.Load().(string); ok {
		if i := slices.Index(networks, last); i > 0 {
			networks[0], networks[i] = networks[i], networks[0]
		}
	}
	var outside error = &StatusError{Target: address, Status: StatusUnknownTarget, Text: "no network is among the targets"}
	for _, name := range networks[:min(len(networks), maxNetworks)] {
		conn, err := ask(ctx, fc.f.cfg.Opener, request{kind: KindConnect, target: name + "/" + address})
		if err == nil {
			fc.f.lastNetwork.Store(name)
			return conn, nil
		}
		st, ok := errors.AsType[*StatusError](err)
		if !ok || st.Status != StatusUnknownTarget && st.Status != StatusDenied {
			return nil, err
		}
		outside = err
	}
	return nil, outside
}

// refuseSOCKS replies and closes. Closing waits a moment for the client to have read the
// reply: with bytes unread the kernel would reset the connection, and take the reply
// along.
func (fc *forwarded) refuseSOCKS(err error) {
	if code := socksCodeOf(err); code != socksCodeUnknown {
		_ = fc.local.SetDeadline(time.Now().Add(socksLinger))
		if _, werr := fc.local.Write(appendSOCKSReply(make([]byte, 0, socksReplySize), code)); werr == nil {
			_ = fc.local.CloseWrite()
			_, _ = io.Copy(io.Discard, io.LimitReader(fc.local, bigBuffer)) // only waits
		}
	}
	_ = fc.local.Close()
	fc.f.refused.Add(1)
	fc.f.log.Info("SOCKS connection refused", "target", fc.info.Target, "id", fc.info.ID, "err", err)
	if fc.f.cfg.OnRefuse != nil {
		fc.f.cfg.OnRefuse(fc.snapshot(), err)
	}
}
