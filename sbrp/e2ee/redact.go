package e2ee

import (
	"fmt"
	"io"
	"log/slog"
)

// How secrets stay out of logs, in two layers. Format and LogValue redact whatever fmt and slog hand to them. But fmt calls no method on an unexported field
// of someone else's struct, and none while it reports a wrong verb; there it walks the fields, and for a wrong verb even follows a pointer. So
// the bytes themselves are kept where no walk gets: captured by a function value, which prints as an address.

// redacted is what every secret type prints as.
const redacted = "[redacted]"

// noCompare makes a struct that holds it not comparable with ==.
type noCompare [0]func()

func redact(s fmt.State) { _, _ = io.WriteString(s, redacted) } // fmt.State's Write has nowhere to report to

// Format prints [redacted] under every verb.
func (Identity) Format(s fmt.State, _ rune) { redact(s) }

// LogValue logs [redacted].
func (Identity) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints [redacted] under every verb.
func (Initiator) Format(s fmt.State, _ rune) { redact(s) }

// LogValue logs [redacted].
func (Initiator) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints [redacted] under every verb.
func (Session) Format(s fmt.State, _ rune) { redact(s) }

// LogValue logs [redacted].
func (Session) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints [redacted] under every verb.
func (Sealer) Format(s fmt.State, _ rune) { redact(s) }

// LogValue logs [redacted].
func (Sealer) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format prints [redacted] under every verb.
func (Opener) Format(s fmt.State, _ rune) { redact(s) }

// LogValue logs [redacted].
func (Opener) LogValue() slog.Value { return slog.StringValue(redacted) }
