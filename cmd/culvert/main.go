package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"culvert/service"
	"culvert/service/osservice"
)

func main() {
	keepMemoryPrivate()
	code, handled := osservice.Run(func(ctx context.Context, log io.Writer) int {
		a := newApp()
		a.print.stdout, a.print.stderr = log, log // a service of Windows has no others
		return runIn(ctx, a, os.Args[1:])
	})
	if !handled {
		code = run(newApp(), os.Args[1:])
	}
	os.Exit(code)
}

// run executes one command line and returns the process's exit code. The first SIGINT or
// SIGTERM (on Windows Ctrl-C, Ctrl-Break or closing the console) ends the command in
// order; the second one kills the process.
func run(a *app, args []string) int { return runIn(context.Background(), a, args) }

// runIn is run until ctx ends, as if by a signal.
func runIn(ctx context.Context, a *app, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() {
		stop() // from now on signals have their default action again
		notify(daemon.SdNotifyStopping)
	})
	return a.execute(ctx, args)
}

// execute executes one command line, without a thought of signals.
func (a *app) execute(ctx context.Context, args []string) int {
	a.words = args
	root := newRootCmd(a)
	root.SetArgs(keysLast(args))
	err := root.ExecuteContext(ctx)
	a.print.endWaits(true)
	if err != nil && !a.started {
		err = asUsage(err) // cobra's own complaints
	}
	if child, ok := errors.AsType[childExit](err); ok {
		return int(child)
	}
	if ctx.Err() != nil && (a.endless || errors.Is(err, context.Canceled)) {
		err = interrupted(err, a.endless)
	}
	if err == nil {
		return int(service.CodeOK)
	}
	a.print.json = a.print.json || (!a.started && wantsJSON(args))
	a.print.fail(err)
	return int(service.CodeOf(err))
}
