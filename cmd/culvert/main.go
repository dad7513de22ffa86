package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"culvert/service"
)

func main() { os.Exit(run(newApp(), os.Args[1:])) }

// run executes one command line and returns the process's exit code. The first SIGINT or
// SIGTERM (on Windows Ctrl-C, Ctrl-Break or closing the console) ends the command in
// order; the second one kills the process.
func run(a *app, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from now on signals have their default action again

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
