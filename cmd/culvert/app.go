package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"culvert/config"
	"culvert/sbrp"
	"culvert/service"
	"culvert/service/osservice"
)

// app is what the commands share: the process's streams, the flags that every command
// takes and the functions that do the work. It belongs to one run of one command line.
type app struct {
	stdin *os.File
	print *printer
	tty   tty
	calls calls
	flags globalFlags
	log   logSettings
	words []string // the whole command line, for completion

	started bool // a command began: errors before that are about the command line
	endless bool // the command runs until it is told to end

	delegated string // the state directory, where another user's process sent the words
}

// globalFlags are the flags of every command.
type globalFlags struct {
	json      bool
	quiet     bool
	stateDir  string
	phrase    string // file with the passphrase
	verbose   int
	logFormat string
}

// calls are the functions of package service that the commands make. Tests put their own
// in their place and look at what the flags became.
type calls struct {
	login         func(context.Context, service.LoginOptions) (service.LoginResult, error)
	daemons       func(context.Context, service.Common) ([]service.DaemonRow, error)
	expose        func(context.Context, service.ExposeOptions, service.Sink) error
	forward       func(context.Context, service.ForwardOptions, service.Sink) error
	stdio         func(context.Context, service.StdioOptions) error
	run           func(context.Context, service.RunOptions, service.Sink) (int, error)
	sshCommand    func(service.SSHOptions) ([]string, error)
	sshConfig     func(service.SSHOptions) (string, error)
	become        func(line []string) (int, error)
	knownTargets  func(service.Common, string) []service.TargetHint
	doctor        func(context.Context, service.DoctorOptions, func(service.Hop)) error
	bench         func(context.Context, service.BenchOptions) (service.BenchResult, error)
	up            func(context.Context, service.UpOptions, service.Sink) error
	check         func(service.Common, string) (service.CheckResult, error)
	reload        func(context.Context, service.Common) ([]service.Reloaded, error)
	status        func(context.Context, service.Common) ([]service.ProcessStatus, []error, error)
	makePairing   func(context.Context, service.PairOptions) (service.PairingCode, error)
	waitPairing   func(context.Context, service.Common, service.PairingCode) (service.ClientRow, error)
	redeemPairing func(context.Context, service.RedeemOptions) (service.Paired, error)
	grant         func(context.Context, service.GrantOptions) (service.ClientRow, error)
	revoke        func(context.Context, service.Common, string) (service.ClientRow, error)
	clients       func(context.Context, service.Common) ([]service.ClientRow, []error, error)
	verifyAudit   func(service.Common, string) (service.AuditReport, error)
	showAudit     func(service.Common, func([]byte) bool) error
	renameClient  func(context.Context, service.Common, string, string) (service.ClientRow, error)
	exportClients func(service.Common) (string, []error, error)
	importClients func(context.Context, service.Common, string, io.Reader) ([]service.ClientRow, error)
	deviceKey     func(service.Common) (service.KeyStatus, error)
	protectKey    func(context.Context, service.ProtectOptions) (service.KeyStatus, error)
	trustList     func(service.Common) ([]config.KnownDaemon, []error, error)
	trustAccept   func(context.Context, service.Common, string, sbrp.Fingerprint) (config.KnownDaemon, error)
	trustForget   func(context.Context, service.Common, string) (config.KnownDaemon, error)
	runRelay      func(context.Context, service.RelayOptions, service.Sink) error
	createKey     func(context.Context, service.KeyStoreOptions, service.KeySpec) (service.KeyRow, string, error)
	listKeys      func(context.Context, service.KeyStoreOptions) ([]service.KeyRow, error)
	revokeKey     func(context.Context, service.KeyStoreOptions, string) (service.KeyRow, error)
	rotateKey     func(context.Context, service.KeyStoreOptions) (service.SigningRow, error)
	backup        func(context.Context, service.KeyStoreOptions, string) error
	restore       func(context.Context, service.KeyStoreOptions, string) (service.RestoreResult, error)
	demo          func(context.Context, service.DemoOptions, service.Sink) error
	osService     func(osservice.Spec) (osService, error)
	delegate      func(ctx context.Context, stateDir string, words []string, stdout, stderr io.Writer) (code int, done bool, err error)
}

func newApp() *app {
	t := newTTY(os.Stdin, os.Stdout, os.Stderr)
	return &app{
		stdin: os.Stdin,
		tty:   t,
		print: &printer{
			stdout: os.Stdout, stderr: os.Stderr, colour: t.colour && !config.NoColor(), loc: time.Local,
			live: newLive(t.colour && !config.NoColor(), int(os.Stderr.Fd())),
		},
		calls: calls{
			login: service.Login, daemons: service.Daemons,
			expose: service.Expose, forward: service.Forward, stdio: service.Stdio,
			run: service.Run, sshCommand: service.SSHCommand, sshConfig: service.SSHConfig, become: become,
			doctor: service.Doctor, bench: service.Bench, knownTargets: service.KnownTargets,
			up: service.Up, check: service.Check, reload: service.Reload, status: service.Status,
			makePairing: service.MakePairing, waitPairing: service.WaitPairing, redeemPairing: service.RedeemPairing,
			grant: service.Grant, revoke: service.Revoke, clients: service.Clients,
			verifyAudit: service.VerifyAudit, showAudit: service.ShowAudit,
			renameClient: service.RenameClient, exportClients: service.ExportClients, importClients: service.ImportClients,
			deviceKey: service.DeviceKey, protectKey: service.ProtectKey,
			trustList: service.TrustList, trustAccept: service.TrustAccept, trustForget: service.TrustForget,
			runRelay:  service.RunRelay,
			createKey: service.CreateKey, listKeys: service.ListKeys, revokeKey: service.RevokeKey,
			rotateKey: service.RotateSigningKey, backup: service.Backup, restore: service.Restore,
			demo: service.Demo, osService: openOSService, delegate: service.Delegate,
		},
	}
}

// run wraps a command that ends by itself.
func (a *app) run(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if a.flags.logFormat != "text" && a.flags.logFormat != "json" {
			return usagef("--log-format text or --log-format json", "--log-format %q is not known", a.flags.logFormat)
		}
		a.started = true
		a.print.json, a.print.quiet = a.flags.json, a.flags.quiet
		if done, err := a.delegate(cmd); done || err != nil {
			return err
		}
		return f(cmd.Context(), args)
	}
}

// runEndless wraps a command that runs until it is told to end.
func (a *app) runEndless(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.endless = true
		takeShortSlices()
		return a.run(f)(cmd, args)
	}
}

// common is what package service wants to know of every command.
func (a *app) common() (service.Common, error) {
	dir, err := config.StateDir(cmp.Or(a.delegated, a.flags.stateDir))
	if err != nil {
		return service.Common{}, &service.Error{Code: service.CodeConfig, Name: "state_dir", Err: err, Mend: "give --state-dir DIR"}
	}
	c := service.Common{StateDir: dir, Program: program(), Logger: a.logger(), Passphrase: a.passphrase}
	c.Beat, c.BeatEvery = watchdog()
	c.Command = func(ctx context.Context, words []string, stdout, stderr io.Writer) int {
		return executeFor(ctx, dir, words, stdout, stderr)
	}
	return c, nil
}
