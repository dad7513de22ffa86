package main

import (
	"context"
	"time"

	"culvert/service/osservice"
)

// osService is what the commands do with a service of the operating system.
type osService interface {
	Name() string
	Install(ctx context.Context) (osservice.Installed, error)
	Uninstall(ctx context.Context, purge bool) (stateDir string, err error)
	Start(ctx context.Context, wait time.Duration) (osservice.Status, error)
	Restart(ctx context.Context, wait time.Duration) (osservice.Status, error)
	Stop(ctx context.Context) error
	Status(ctx context.Context) (osservice.Status, error)
	LogCommand(lines int, follow, asJSON bool) ([]string, error)
}

func openOSService(s osservice.Spec) (osService, error) { return osservice.Open(s) }
