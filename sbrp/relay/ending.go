package relay

import (
	"errors"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

// ending says how the relay ends a connection: the last Control frame, then the WebSocket close.
type ending struct {
	code   sbrp.Code // nobody: no Control frame
	id     sbrp.SessionID
	text   string
	status wsconn.StatusCode
	reason string
	drop   bool // what is queued is thrown away first: the peer does not read
}

// endWith returns the ending for a terminal code. id is ignored for codes that are not about a session.
func endWith(code sbrp.Code, id sbrp.SessionID) ending {
	e := ending{code: code, text: codeTexts[code], status: wsconn.StatusPolicy, reason: code.String()}
	if code.SessionScoped() {
		e.id = id
	}
	switch code {
	case sbrp.CodeInternalError:
		e.status = wsconn.StatusInternal
	case sbrp.CodeBackpressure:
		e.status, e.drop = wsconn.StatusTryLater, true
	case sbrp.CodeDaemonOffline:
		e.status = wsconn.StatusTryLater
	case sbrp.CodeSessionExpired:
		e.status = wsconn.StatusNormal
	}
	return e
}

// endFor returns the ending for a refused frame. The detail of an *sbrp.Error holds sizes, types and limits, no identifier.
func endFor(err error) ending {
	se, ok := errors.AsType[*sbrp.Error](err)
	if !ok {
		return endWith(sbrp.CodeInternalError, 0)
	}
	e := endWith(se.Code, se.SessionID)
	e.text = se.Detail
	return e
}

// Endings without a Control frame.
var (
	endShutdown = ending{status: wsconn.StatusGoingAway, reason: "relay is going down"}
	endMoved    = ending{status: wsconn.StatusMoved, reason: "the daemon's place is at another relay"}
	endReplaced = ending{status: wsconn.StatusPolicy, reason: "replaced by a newer connection of the same daemon"}
)

// control returns the ending's Control frame, empty if it has none.
func (e ending) control() []byte {
	if e.code == nobody {
		return nil
	}
	return sbrp.AppendControl(nil, e.id, e.code, e.text)
}

// endTextMessage returns the ending for a message that is not binary (spec section 2).
func endTextMessage() ending {
	e := endWith(sbrp.CodeMalformedFrame, 0)
	e.text, e.status = "text message", wsconn.StatusUnsupported
	return e
}
