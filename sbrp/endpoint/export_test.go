package endpoint

// Wipe drops a session's keys, as if its state had been lost.
func (s *Session) Wipe() { s.wipe() }

// Limits that tests run into.
const (
	QueueBytes     = queueBytes
	MalformedLimit = malformedLimit
	OutboxSignals  = outboxSignals
)
