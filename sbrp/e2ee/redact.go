package e2ee

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every secret type prints as.
const redacted = "[redacted]"

// noCompare makes a struct that embeds it not comparable with ==: secrets are compared by their public halves or not at all.
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
