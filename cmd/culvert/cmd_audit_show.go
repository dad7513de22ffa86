package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newAuditShowCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the audit log",
		Long: `Prints who connected to what, when, how many bytes it carried and why it ended, oldest
first; and who granted, revoked, paired and trusted. With --json the lines are as they
stand in the log.`,
		Example:           `  culvert audit show --json | jq 'select(.client == "phone")'`,
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		return a.calls.showAudit(c, func(line []byte) bool {
			if a.print.json {
				a.print.script(string(rawLine(line)) + "\n")
			} else {
				a.print.data("%s", auditLine(line, a.print.loc))
			}
			return ctx.Err() == nil
		})
	})
	return cmd
}

// rawLine is a line of the log as it is, or as a JSON string if it was damaged.
func rawLine(line []byte) []byte {
	if json.Valid(line) {
		return line
	}
	b, err := json.Marshal(map[string]string{"damaged": string(line)})
	if err != nil {
		panic("culvert: " + err.Error()) // a string
	}
	return b
}

// auditLine says a line of the log to people, as one line whatever somebody has put there.
func auditLine(line []byte, loc *time.Location) string {
	return strings.ReplaceAll(auditText(line, loc), "\n", "\ufffd")
}

func auditText(line []byte, loc *time.Location) string {
	var l struct {
		Time                time.Time
		Act, Client, Key    string
		Target, Address     string
		Daemon, Trust       string
		Targets             []string
		UID                 *int
		BytesIn             *int64 `json:"bytes_in"`
		BytesOut            int64  `json:"bytes_out"`
		End, Reason, Status string
		Why                 string
	}
	if json.Unmarshal(line, &l) != nil {
		return "! " + string(bytes.ToValidUTF8(line, []byte("\ufffd")))
	}
	out := []string{l.Time.In(loc).Format(time.DateTime), l.Act}
	for _, word := range []string{l.Client, l.Daemon, l.Target, l.Address, strings.Join(l.Targets, ","), l.Trust} {
		if word != "" {
			out = append(out, word)
		}
	}
	if l.BytesIn != nil {
		out = append(out, size(uint64(*l.BytesIn))+" in, "+size(uint64(l.BytesOut))+" out")
	}
	if why := or(l.End, or(l.Reason, or(l.Status, l.Why))); why != "" {
		out = append(out, "("+why+")")
	}
	if l.UID != nil && *l.UID >= 0 { // Windows has none
		out = append(out, fmt.Sprintf("by user %d", *l.UID))
	}
	if l.Key != "" {
		out = append(out, l.Key)
	}
	return strings.Join(out, "  ")
}
