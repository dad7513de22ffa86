package main

import (
	"context"
	"os"
)

// catchHangup returns the signals that ask for a reload, or for the next attempt at once
// where there is no file. The one that a terminal sends when
// it is closed ends the command instead, as it ends every other one. Started with nohup,
// the command goes on ignoring them.
func (a *app) catchHangup(end context.CancelFunc) (again <-chan os.Signal, stop func()) {
	signals, stopSignals := hangups()
	if !a.tty.err {
		return signals, stopSignals
	}
	passed, done := make(chan os.Signal), make(chan struct{})
	go func() { // ends with stop
		for {
			select {
			case s := <-signals:
				if !isTerminal(os.Stderr) {
					end()
					return
				}
				select {
				case passed <- s:
				case <-done:
					return
				}
			case <-done:
				return
			}
		}
	}()
	return passed, func() { stopSignals(); close(done) }
}

// endOnHangup has a hangup end a command in order, as SIGTERM does, unless it was started to
// ignore it: ssh tells its ProxyCommand so that it ends.
func (a *app) endOnHangup(end context.CancelFunc) (stop func()) {
	signals, stopSignals := hangups()
	done := make(chan struct{})
	go func() { // ends with stop
		select {
		case <-signals:
			end()
		case <-done:
		}
	}()
	return func() { stopSignals(); close(done) }
}
