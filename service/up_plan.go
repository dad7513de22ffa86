package service

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"culvert/config"
	"culvert/sbrp"
	"culvert/tunnel"
)

// defaultHold is how long connections are kept where the file does not say.
const defaultHold = 10 * time.Minute

// plan is a configuration file as far as it is understood: what up runs.
type plan struct {
	file    *config.File
	name    string // of this daemon; empty: the default
	hold    time.Duration
	targets []tunnel.Target
	daemons []planDaemon // in the file's order
}

type planDaemon struct {
	name     string
	forwards []planForward
}

type planForward struct {
	spec       tunnel.ForwardSpec
	refuseHeld bool
}

// MistakesError: a configuration file that cannot be used, with all its mistakes.
type MistakesError struct {
	Path     string
	Mistakes config.FileErrors // in the file's order
}

// Error has one mistake per line.
func (e *MistakesError) Error() string {
	if len(e.Mistakes) == 1 {
		return e.Mistakes.Error()
	}
	return fmt.Sprintf("%s has %d mistakes:\n%s", e.Path, len(e.Mistakes), e.Mistakes.Error())
}

// Unwrap gives the mistakes to errors.As.
func (e *MistakesError) Unwrap() error { return e.Mistakes }

// configPath is the file that a command means: the one that is named, else the state
// directory's.
func configPath(stateDir, file string) string {
	if file != "" {
		return file
	}
	return config.PathIn(stateDir)
}

// loadPlan reads the file and understands it. What is wrong with it is a *MistakesError
// inside the *Error.
func loadPlan(path string) (*plan, error) {
	var p *plan
	file, err := config.LoadFile(path, func(f *config.File) config.FileErrors {
		r := planReader{plan: &plan{file: f, name: f.Name.Text, hold: cmp.Or(f.HoldTime, defaultHold)}}
		r.targets()
		r.forwards()
		p = r.plan
		return r.mistakes
	})
	switch mistakes, ok := errors.AsType[config.FileErrors](err); {
	case ok:
		return nil, planError(path, mistakes)
	case errors.Is(err, fs.ErrNotExist):
		return nil, errorf(CodeConfig, "config_missing", "write it, with targets: or forwards: in it; `culvert up --help` shows one", "there is no configuration file %s", path)
	case err != nil:
		return nil, &Error{Code: CodeConfig, Name: "config", Err: err}
	case len(p.targets)+len(p.daemons) == 0:
		nothing := errors.New("nothing to run: write targets: that this machine exposes, or forwards: to another one")
		return nil, planError(path, config.FileErrors{file.Problem(config.Value{Line: 1, Column: 1}, nothing)})
	}
	return p, nil
}

func planError(path string, mistakes config.FileErrors) *Error {
	return &Error{Code: CodeConfig, Name: "config", Err: &MistakesError{Path: path, Mistakes: mistakes}}
}

// planReader makes a plan of a file and collects what is wrong.
type planReader struct {
	plan     *plan
	mistakes config.FileErrors
}

func (r *planReader) fail(at config.Value, err error) {
	r.mistakes = append(r.mistakes, r.plan.file.Problem(at, err))
}

func (r *planReader) targets() {
	for _, t := range r.plan.file.Targets {
		if err := tunnel.CheckTargetName(t.Name.Text); err != nil {
			r.fail(t.Name, err)
			continue
		}
		parsed, err := tunnel.ParseTarget(t.Spec())
		if err != nil {
			r.fail(t.Address, err)
			continue
		}
		r.plan.targets = append(r.plan.targets, parsed)
	}
}

func (r *planReader) forwards() {
	listening := map[string]config.Value{} // local addresses that two forwards cannot share
	seen := map[string]config.Value{}
	badDaemons := map[string]bool{}
	for _, f := range r.plan.file.Forwards {
		if err := sbrp.CheckDaemonID(f.Daemon.Text); err != nil && !badDaemons[f.Daemon.Text] {
			badDaemons[f.Daemon.Text] = true
			r.fail(f.Daemon, fmt.Errorf("%.80q is no name of a daemon: use letters, digits, '-', '_' and '.'", f.Daemon.Text))
		}
		spec, err := tunnel.ParseForward(f.Forward.Text)
		if err != nil {
			r.fail(f.Forward, err)
			continue
		}
		key := f.Daemon.Text + " " + spec.String()
		if first, ok := seen[key]; ok {
			r.fail(f.Forward, fmt.Errorf("forward %q stands twice, first on line %d", f.Forward.Text, first.Line))
			continue
		}
		seen[key] = f.Forward
		if local := localAddress(spec); local != "" {
			if first, ok := listening[local]; ok {
				r.fail(f.Forward, fmt.Errorf("the local address %s has a forward already, on line %d", local, first.Line))
				continue
			}
			listening[local] = f.Forward
		}
		held := r.plan.file.WhenHeld.Text
		if f.WhenHeld.Given() {
			held = f.WhenHeld.Text
		}
		r.add(f.Daemon.Text, planForward{spec: spec, refuseHeld: held == "refuse"})
	}
}

func (r *planReader) add(daemon string, f planForward) {
	i := slices.IndexFunc(r.plan.daemons, func(d planDaemon) bool { return d.name == daemon })
	if i < 0 {
		i = len(r.plan.daemons)
		r.plan.daemons = append(r.plan.daemons, planDaemon{name: daemon})
	}
	r.plan.daemons[i].forwards = append(r.plan.daemons[i].forwards, f)
}

// localAddress is where a forward listens, if that is a certain address.
func localAddress(spec tunnel.ForwardSpec) string {
	switch {
	case spec.Network == tunnel.NetworkUnix:
		return "unix:" + spec.Path
	case spec.Port > 0:
		return fmt.Sprintf("%s:%d", spec.Bind, spec.Port)
	}
	return ""
}

// CheckResult is a configuration file without mistakes.
type CheckResult struct {
	File     string `json:"file"`
	Targets  int    `json:"targets"`
	Forwards int    `json:"forwards"`
	Daemons  int    `json:"daemons"` // that the forwards lead to
}

// Check reads a configuration file as Up does; empty means the state directory's. Mistakes
// are a [*MistakesError] in the error's chain.
func Check(c Common, file string) (CheckResult, error) {
	path := configPath(c.StateDir, file)
	p, err := loadPlan(path)
	if err != nil {
		return CheckResult{}, err
	}
	r := CheckResult{File: path, Targets: len(p.targets), Daemons: len(p.daemons)}
	for _, d := range p.daemons {
		r.Forwards += len(d.forwards)
	}
	return r, nil
}
