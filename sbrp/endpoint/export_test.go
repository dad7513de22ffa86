package endpoint

// Wipe drops a session's keys, as if its state had been lost.
func (s *Session) Wipe() { s.wipe() }

// Limits that tests run into.
const (
	QueueBytes     = queueBytes
	MalformedLimit = malformedLimit
	OutboxSignals  = outboxSignals
)

// ThisNetwork is what a Watcher sees of this machine's network.
func ThisNetwork() string { return (&machine{}).Network() }
