package relay

import (
	"maps"
	"slices"

	"culvert/sbrp"
)

// Row is one row of the table of states, as words.
type Row struct {
	State, Event, Next string
	ToClient, ToDaemon sbrp.Code
}

// Rows returns the table of states.
func Rows() []Row {
	var rows []Row
	for _, t := range transitions {
		rows = append(rows, Row{t.state.String(), t.event.String(), t.next.String(), t.toClient, t.toDaemon})
	}
	return rows
}

// Break makes the next frame of a client provoke a failure of the relay's own.
func (s *Server) Break(daemonID string, id sbrp.SessionID) {
	s.mu.Lock()
	sl := s.slots[daemonID]
	s.mu.Unlock()
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.sessions[id].client.session = nil
}

// MaxTold is the bound of what is remembered for each daemon.
const MaxTold = maxTold

// Slots returns how many daemons are known.
func (s *Server) Slots() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.slots)
}

// Codes returns the codes that the relay has words for, and those of its table.
func Codes() []sbrp.Code {
	codes := slices.Concat(terminalCodes[:], slices.Collect(maps.Keys(codeTexts)))
	for _, t := range transitions {
		codes = append(codes, t.toClient, t.toDaemon)
	}
	return slices.DeleteFunc(codes, func(c sbrp.Code) bool { return c == nobody })
}

// Crowds returns how many addresses and accounts have connections.
func (s *Server) Crowds() int { return size(&s.addresses) + size(&s.accounts) }

func size[K comparable](c *crowd[K]) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.n)
}
