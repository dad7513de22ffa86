package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"culvert/config"
	"culvert/service"
)

// watchPause is how often status --watch looks.
const watchPause = time.Second

func newStatusCmd(a *app) *cobra.Command {
	var watch, check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what runs: targets, forwards, links and connections",
		Long: `Asks every culvert that runs on this state directory and shows its targets, forwards
and links, and of a relay its daemons and sessions; exit code 0 also when none runs. With --json each of them, and each
connection, is a line of its own, told apart by "kind".

--watch looks again each second until Ctrl-C: on a terminal the screen is drawn anew,
elsewhere, and with NO_COLOR, one table follows the other.

--check is for health checks: exit code 1 unless something runs and all of it is in order,
which is a relay whose store answers, a daemon that is online, and forwards that are ready.`,
		Example: `  culvert status
  culvert status --watch
  culvert status --json | jq 'select(.kind == "forward" and .state != "ready")'`,
		Args:              words(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVarP(&watch, "watch", "w", false, "look again each second until Ctrl-C")
	f.BoolVar(&check, "check", false, "exit code 1 unless something runs and all of it is in order")
	cmd.MarkFlagsMutuallyExclusive("watch", "check")
	once := func(ctx context.Context, _ []string) error {
		c, err := a.common()
		if err != nil {
			return err
		}
		troubles, err := a.showStatus(ctx, c, a.print.lines)
		if err == nil && check && troubles != nil {
			err = &service.Error{Code: service.CodeFailure, Name: "not_in_order", Err: errors.New(strings.Join(troubles, "; "))}
		}
		return err
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !watch {
			return a.run(once)(cmd, args)
		}
		return a.runEndless(func(ctx context.Context, _ []string) error { return a.watchStatus(ctx) })(cmd, args)
	}
	return cmd
}

// showStatus asks, shows what was answered, and returns what is not in order.
func (a *app) showStatus(ctx context.Context, c service.Common, show func([]string)) (troubles []string, err error) {
	all, problems, err := a.calls.status(ctx, c)
	if err != nil {
		return nil, err
	}
	a.print.warn(problems)
	now := time.Now()
	for _, p := range all {
		for _, line := range p.Lines(now) {
			a.print.object(line)
		}
	}
	if !a.print.json {
		show(statusLines(all, now, c.StateDir))
	}
	for _, p := range all {
		troubles = append(troubles, p.Troubles()...)
	}
	for _, err := range problems {
		troubles = append(troubles, err.Error()) // for people
	}
	if len(all) == 0 && troubles == nil {
		troubles = []string{"nothing runs on " + c.StateDir}
	}
	return troubles, nil
}

// watchStatus shows the status each second until ctx ends.
func (a *app) watchStatus(ctx context.Context) error {
	c, err := a.common()
	if err != nil {
		return err
	}
	show := func(lines []string) {
		a.print.lines(append([]string{time.Now().In(a.print.loc).Format(time.TimeOnly)}, append(lines, "")...))
	}
	if a.tty.out && !a.print.json && !config.NoColor() && enableColour(os.Stdout) {
		s := &screen{out: a.print}
		s.open()
		defer s.close()
		show = func(lines []string) {
			width, height, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				width, height = 80, 24
			}
			s.draw(append([]string{"culvert status   " + time.Now().In(a.print.loc).Format(time.TimeOnly) + "   Ctrl-C ends", ""}, lines...), width, height)
		}
	}
	tick := time.NewTicker(watchPause)
	defer tick.Stop()
	for {
		if _, err := a.showStatus(ctx, c, show); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
