package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"culvert/config"
	"culvert/service"
)

// makePairing makes a code on the daemon's machine and, with wait, waits until it was used.
func (a *app) makePairing(ctx context.Context, o service.PairOptions, wait bool) error {
	a.print.wait(askingKey, "asking the control plane for a code")
	code, err := a.calls.makePairing(ctx, o)
	a.print.done(askingKey)
	if err != nil {
		return err
	}
	a.print.event(service.Event{
		Time: time.Now(), Event: service.EventPairingCode, PairingCode: code.Code, ExpiresAt: code.ExpiresAt, URL: code.URL,
	})
	a.showQR(code.Code, time.Until(code.ExpiresAt))
	if !code.Running {
		a.print.note("! no daemon runs here; start culvert expose before the code expires")
	}
	if !wait {
		return nil
	}
	a.print.wait(askingKey, "waiting until the code is used")
	client, err := a.calls.waitPairing(ctx, o.Common, code)
	a.print.done(askingKey)
	if err != nil {
		return err
	}
	a.print.object(struct {
		Time  string `json:"time"`
		Event string `json:"event"`
		service.ClientRow
	}{now(), "paired", client})
	a.print.note("+ %s paired   %s; may reach %s", client.Name, client.Fingerprint, targets(client.Targets))
	return nil
}

// redeemPairing redeems a code on the client's machine and says what can be forwarded.
func (a *app) redeemPairing(ctx context.Context, o service.RedeemOptions) error {
	if o.Code == "-" {
		code, err := a.readLine(ctx)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		o.Code = code
	}
	a.print.wait(askingKey, "pairing")
	p, err := a.calls.redeemPairing(ctx, o)
	a.print.done(askingKey)
	if err != nil {
		return err
	}
	a.print.object(struct {
		Time        string   `json:"time"`
		Event       string   `json:"event"`
		Daemon      string   `json:"daemon"`
		DaemonID    string   `json:"daemon_id"`
		Fingerprint string   `json:"fingerprint"`
		Targets     []string `json:"targets"`
	}{now(), "paired", p.Daemon, p.DaemonID, p.Fingerprint.String(), p.Targets})
	a.print.note("+ paired with %s   %s", p.Daemon, p.Fingerprint)
	if len(p.Targets) == 0 {
		a.print.note("it exposes nothing to this machine now")
		return nil
	}
	next := ""
	if a.tty.out { // else the command is for a script, and does not follow here
		next = "; paste:"
	}
	a.print.note("this machine may reach %s%s", strings.Join(p.Targets, ", "), next)
	a.print.data("culvert forward %s %s", p.Daemon, strings.Join(p.Targets, " "))
	return nil
}

// showQR shows a code to a camera, where somebody can see it.
func (a *app) showQR(code string, left time.Duration) {
	if left > 0 {
		a.print.picture(qr(code))
	}
}

// targets are the names in a grant, for people.
func targets(names []string) string {
	if len(names) == 0 || slices.Contains(names, config.AllTargets) {
		return "all targets"
	}
	return strings.Join(names, ", ")
}
