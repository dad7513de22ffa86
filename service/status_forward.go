package service

import "culvert/tunnel"

// addStatus tells of the link to the daemon and of its forwards.
func (f *forwarding) addStatus(st *ProcessStatus) {
	f.mu.Lock()
	last, trouble, failed := f.drop, f.trouble, f.failed
	f.mu.Unlock()
	ls := linkStatus(f.client.link.Status(), last)
	ls.Daemon, ls.Fingerprint, ls.Relay = f.o.daemon, f.client.fingerprint(), f.client.relayURL()
	ls.Code, ls.Message = trouble.Code, trouble.Message
	if failed != nil {
		ls.State, ls.Code, ls.Message = "lost", failed.Name, failed.Error() // for people
	}
	st.Links = append(st.Links, ls)
	for _, l := range f.list() {
		l.addStatus(st, failed)
	}
}

func (l *listener) addStatus(st *ProcessStatus, failed *Error) {
	l.mu.Lock()
	fs := ForwardStatus{
		Daemon: l.f.o.daemon, Target: l.spec.Target, State: l.state, Since: Stamp{l.since}, Code: l.code, Message: l.text,
	}
	if l.state == forwardReady {
		fs.RTT = milliseconds(l.rtt)
	}
	fw := l.fw
	l.mu.Unlock()
	var conns []tunnel.ConnInfo
	if fw != nil {
		conns = fw.Conns()
		fs.Addr = addrText(fw.Addr())
		s := fw.Stats()
		fs.Connections, fs.Opened, fs.Refused, fs.BytesUp, fs.BytesDown = s.Active, s.Opened, s.Refused, s.BytesUp, s.BytesDown
	}
	if failed != nil {
		fs.State, fs.Code, fs.Message = forwardFailed, failed.Name, failed.Error() // for people
	}
	st.Forwards = append(st.Forwards, fs)
	for _, c := range conns {
		from := ""
		if c.From != nil {
			from = c.From.String()
		}
		st.Conns = append(st.Conns, ConnStatus{
			Daemon: l.f.o.daemon, Target: c.Target, From: from, Since: Stamp{c.Since},
			BytesIn: c.BytesDown, BytesOut: c.BytesUp,
		})
	}
}
