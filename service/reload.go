package service

import "time"

const (
	// EventClosed: a forward has ended because the configuration no longer has it.
	EventClosed = "closed"
	// EventReloaded: a changed configuration has been applied; Message says what changed.
	EventReloaded = "reloaded"
)

// reloadTimeout bounds applying a changed configuration; only a new name takes more than
// milliseconds, which the control plane is asked for.
const reloadTimeout = 40 * time.Second

// reloadAnswer is what a process answers to POST /v1/reload.
type reloadAnswer struct {
	Code    Code   `json:"code"` // 0: applied
	Name    string `json:"name,omitempty"`
	Message string `json:"message"` // what changed, or why nothing did; may have several lines
	Mend    string `json:"mend,omitempty"`
}
