package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newDoctorCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [DAEMON[/TARGET]]",
		Short: "Find the hop that is broken on the way to a target",
		Long: `Goes the way to a daemon and its targets hop by hop, with the time that each takes:
config, DNS, proxy, TCP, TLS, control plane, token, WebSocket, relay, daemon, identity
pin, authorised, target. The first that is not in order ends it, with what to do about it
and the exit code that every command has for it. Without a daemon it goes as far as the
control plane. It changes nothing.`,
		Example: `  culvert doctor                          # as far as the control plane
  culvert doctor laptop                   # and every target of laptop
  culvert doctor laptop/web
  culvert doctor laptop/lan/10.1.2.3:443  # an address inside a network`,
		Args:              words(0, 1, ""),
		ValidArgsFunction: a.completeHop,
	}
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		o := service.DoctorOptions{Common: c}
		if len(args) > 0 {
			slash := false
			o.Daemon, o.Target, slash = strings.Cut(args[0], "/")
			if o.Daemon == "" || slash && o.Target == "" {
				return usagef("culvert doctor laptop/web", "write DAEMON or DAEMON/TARGET")
			}
		}
		o.Looking = func(hop string) { // one after the other
			a.print.done(hopKey)
			a.print.wait(hopKey, "looking at "+hop)
		}
		return a.calls.doctor(ctx, o, a.printHop)
	})
	return cmd
}

const hopKey = "hop"

// hopLine is a hop as JSON.
type hopLine struct {
	Time    string  `json:"time"`
	Event   string  `json:"event"`
	Hop     string  `json:"hop"`
	OK      bool    `json:"ok"`
	Detail  string  `json:"detail,omitempty"`
	Took    float64 `json:"took_ms"`
	Code    string  `json:"code,omitempty"`
	Message string  `json:"message,omitempty"`
	Mend    string  `json:"mend,omitempty"`
}

// printHop writes a hop as a line: it is what was asked for. What to do about a broken one
// is said at the end.
func (a *app) printHop(h service.Hop) {
	a.print.done(hopKey)
	line := hopLine{Time: stamp(time.Now()), Event: "hop", Hop: h.Name, OK: h.Err == nil, Detail: h.Detail, Took: ms(h.Took)}
	mark, detail := "ok  ", h.Detail
	if h.Err != nil {
		line.Code, line.Message, line.Mend = h.Err.Name, redact(h.Err.Error()), redact(h.Err.Mend)
		mark, detail = "FAIL", line.Message
	}
	if h.Took > 0 {
		detail += "  (" + roundTrip(h.Took) + ")"
	}
	a.print.data("%s  %-13s  %s", mark, h.Name, detail)
	a.print.object(line)
}
