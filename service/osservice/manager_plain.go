//go:build darwin || windows

package osservice

import (
	"context"
	"errors"
	"time"

	kardianos "github.com/kardianos/service"
)

// Start starts it. The service manager does not say when it is online.
func (s *Service) Start(ctx context.Context, _ time.Duration) (Status, error) {
	if err := s.os.Start(); err != nil {
		return Status{}, denied("start "+s.Name(), err)
	}
	return s.Status(ctx)
}

// Restart stops it, if it runs, and starts it.
func (s *Service) Restart(ctx context.Context, _ time.Duration) (Status, error) {
	if err := s.os.Restart(); err != nil {
		return Status{}, denied("restart "+s.Name(), err)
	}
	return s.Status(ctx)
}

// Stop stops it and waits for that.
func (s *Service) Stop(context.Context) error {
	if err := s.os.Stop(); err != nil {
		return denied("stop "+s.Name(), err)
	}
	return nil
}

// Status asks the service manager.
func (s *Service) Status(context.Context) (Status, error) {
	st := Status{Name: s.Name()}
	switch state, err := s.os.Status(); {
	case errors.Is(err, kardianos.ErrNotInstalled):
		st.State = NotInstalled
	case err != nil:
		return st, denied("ask for "+s.Name(), err)
	case state == kardianos.StatusRunning:
		st.State = Running
	default:
		st.State = Stopped
	}
	return st, nil
}

// checkOurs: packages bring no services here.
func (s *Service) checkOurs(context.Context) error { return nil }

// makeAccount: the account is there, or Windows makes it.
func (s Spec) makeAccount(context.Context) error { return nil }
