package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"culvert/config"
	"culvert/sbrp/api"
	"culvert/sbrp/e2ee"
)

// machine is this machine's state directory with its device key and, when logged in, its
// control plane.
type machine struct {
	dir      *config.Dir
	identity *e2ee.Identity
	program  string
	log      *slog.Logger
	beat     func() // nil: nobody watches
	every    time.Duration
	command  CommandFunc // nil: it takes none
}

// openDir opens the state directory and says how to mend it.
func openDir(path string) (*config.Dir, error) {
	if path == "" {
		return nil, errorf(CodeConfig, "state_dir", "give --state-dir", "no state directory")
	}
	dir, err := config.Open(path)
	if err != nil {
		e := &Error{Code: CodeConfig, Name: "state_dir", Err: err}
		if foreign, owner := foreignDir(path); foreign && errors.Is(err, fs.ErrPermission) {
			e.Mend = fmt.Sprintf("sudo -u %s culvert …, or a --state-dir of your own", owner)
		}
		return nil, e
	}
	return dir, nil
}

// openMachine opens the state directory and its device key, for which it may ask for a passphrase.
func openMachine(ctx context.Context, c Common) (*machine, error) {
	dir, err := openDir(c.StateDir)
	if err != nil {
		return nil, err
	}
	id := unlockedKey(ctx, dir)
	if id == nil {
		id, err = dir.UnlockIdentity(c.passphrase(ctx))
	}
	if err != nil {
		_ = dir.Close() // the error says why
		return nil, keyError(err)
	}
	return &machine{dir: dir, identity: id, program: c.Program, log: logger(c.Logger), beat: c.Beat, every: c.BeatEvery, command: c.Command}, nil
}

// close releases the state directory.
func (m *machine) close() { _ = m.dir.Close() } // a handle on a directory: nothing is lost

// controlPlane returns a client of one control plane.
func (m *machine) controlPlane(baseURL, caFile string) (*api.Client, *transport, error) {
	if err := api.CheckBaseURL(baseURL, false); err != nil {
		return nil, nil, &Error{Code: CodeUsage, Name: "url", Err: err, Mend: "write the URL as https://relay.example.org; http:// is for loopback only"}
	}
	tr, err := newTransport(caFile, m.program)
	if err != nil {
		return nil, nil, err
	}
	cl, err := api.NewClient(api.Config{BaseURL: baseURL, Key: m.identity, HTTP: tr.http, UserAgent: m.program})
	if err != nil {
		return nil, nil, &Error{Code: CodeUsage, Name: "url", Err: err}
	}
	return cl, tr, nil
}

// enrolled returns the control plane that this machine is logged in to.
func (m *machine) enrolled() (config.Enrollment, error) {
	e, err := m.dir.Enrollment()
	if errors.Is(err, config.ErrNotEnrolled) {
		return e, &Error{Code: CodeLogin, Name: "not_logged_in", Err: errors.New("this machine is not logged in"), Mend: "culvert login https://YOUR-RELAY"}
	}
	if err != nil {
		return e, stateError(err)
	}
	return e, nil
}

// deviceName is what this machine calls itself: the name given at login, else the host's.
func (m *machine) deviceName() string {
	if e, err := m.dir.Enrollment(); err == nil && e.Name != "" {
		return e.Name
	}
	return hostName() // a guest
}

// stateError is a failure of the state directory; its text says the mend.
func stateError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeConfig, Name: "state_dir", Err: err}
}

// absolute makes a CA file's path independent of the directory that a later command runs in.
func absolute(caFile string) (string, error) {
	if caFile == "" {
		return "", nil
	}
	abs, err := filepath.Abs(caFile)
	if err != nil {
		return "", stateError(err)
	}
	return abs, nil
}

// Login enrols this machine's device key and remembers the control plane.
func Login(ctx context.Context, o LoginOptions) (LoginResult, error) {
	m, err := openMachine(ctx, o.Common)
	if err != nil {
		return LoginResult{}, err
	}
	base := strings.TrimRight(o.URL, "/")
	caFile, err := absolute(o.CAFile)
	if err != nil {
		return LoginResult{}, err
	}
	cl, _, err := m.controlPlane(base, caFile)
	if err != nil {
		return LoginResult{}, err
	}
	key := strings.TrimSpace(o.APIKey.Reveal())
	if key == "" {
		return LoginResult{}, errorf(CodeLogin, "key", "the operator makes one with `culvert relay key create`", "the API key is empty")
	}
	name := cmp.Or(o.Name, hostName())
	resp, err := cl.Enroll(ctx, api.EnrollRequest{APIKey: key, Name: name})
	if err != nil {
		return LoginResult{}, classify(err)
	}
	book, err := m.ledger(ctx)
	if err != nil {
		return LoginResult{}, err
	}
	defer book.close()
	if err := m.dir.SaveEnrollment(config.Enrollment{
		URL: base, CAFile: caFile, DeviceID: resp.DeviceID, Account: resp.Account, Name: name, Scopes: resp.Scopes,
	}); err != nil {
		return LoginResult{}, stateError(err)
	}
	book.write(actLoggedIn, "url", base, "account", resp.Account)
	return LoginResult{
		URL: base, Name: name, Account: resp.Account, Scopes: resp.Scopes,
		Fingerprint: m.identity.PublicKey().Fingerprint(),
	}, nil
}

// Daemons lists what the control plane shows this account, beside what is pinned here.
func Daemons(ctx context.Context, c Common) ([]DaemonRow, error) {
	m, err := openMachine(ctx, c)
	if err != nil {
		return nil, err
	}
	defer m.close()
	e, err := m.enrolled()
	if err != nil {
		return nil, err
	}
	cl, _, err := m.controlPlane(e.URL, e.CAFile)
	if err != nil {
		return nil, err
	}
	list, err := cl.Daemons(ctx)
	if err != nil {
		return nil, classify(err)
	}
	pins := m.dir.KnownDaemons()
	rows := make([]DaemonRow, 0, len(list))
	for _, d := range list {
		row := DaemonRow{Name: d.Name, ID: d.ID, Online: d.Status == api.StatusOnline, Fingerprint: d.IdentityPublicKey.Fingerprint()}
		if pin, err := pins.Lookup(d.ID); err == nil {
			row.Pinned = true
			row.Changed = !pin.Key.Equal(d.IdentityPublicKey)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// hostName is the host's name without its domain, in the letters that names may have.
func hostName() string {
	host, err := os.Hostname()
	if err != nil {
		return "machine"
	}
	host, _, _ = strings.Cut(host, ".")
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, host)
	name = strings.Trim(name, "-_")
	return cmp.Or(name[:min(len(name), 64)], "machine")
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
