package service

import (
	"context"
	"os"

	"golang.org/x/sync/errgroup"
)

// retrying runs work and has it try at once, whatever it waits for, at each signal; nil
// gives none.
func (m *machine) retrying(ctx context.Context, signals <-chan os.Signal, retry func(), work func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error {
		defer stop()
		return work(ctx)
	})
	g.Go(func() error {
		for {
			select {
			case s := <-signals:
				m.log.Info("asked to try at once", "signal", s.String())
				retry()
			case <-ctx.Done():
				return nil
			}
		}
	})
	return g.Wait()
}
