package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
)

const enrollmentFile = "enrollment.json"

// Enrollment is what `culvert login` leaves behind: the control plane that
// knows this device. It holds no secret; requests are signed by the device key.
type Enrollment struct {
	URL      string   `json:"url"`               // control plane, scheme://host[:port][/path]
	CAFile   string   `json:"ca_file,omitempty"` // absolute path of a private CA; empty = the system's
	Account  string   `json:"account,omitempty"`
	DeviceID string   `json:"device_id"`
	DaemonID string   `json:"daemon_id,omitempty"` // this machine as a daemon; empty until it has exposed something
	Name     string   `json:"name,omitempty"`      // the device's name at the control plane
	Scopes   []string `json:"scopes,omitempty"`    // what the API key allowed: for people
}

// Enrollment reads the enrollment; ErrNotEnrolled when there is none.
func (d *Dir) Enrollment() (Enrollment, error) {
	data, err := d.ReadSecret(enrollmentFile)
	if isMissing(err) {
		return Enrollment{}, ErrNotEnrolled
	}
	if err != nil {
		return Enrollment{}, err
	}
	e, err := parseEnrollment(data)
	if err != nil {
		return Enrollment{}, fmt.Errorf("read %s: %w: run `culvert login` again, or the newer culvert that wrote it", d.File(enrollmentFile), err)
	}
	return e, nil
}

// parseEnrollment reads the file.
func parseEnrollment(data []byte) (e Enrollment, err error) {
	if err := decodeStrict(data, &e); err != nil {
		return Enrollment{}, err
	}
	return e, e.check()
}

// format is the reverse of parseEnrollment.
func (e Enrollment) format() ([]byte, error) {
	data, err := json.MarshalIndent(e, "", "  ")
	return append(data, '\n'), err
}

// SaveEnrollment replaces the enrollment.
func (d *Dir) SaveEnrollment(e Enrollment) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("save enrollment: %w", err)
	}
	data, err := e.format()
	if err != nil {
		return fmt.Errorf("save enrollment: %w", err)
	}
	return d.WriteSecret(enrollmentFile, data)
}

// ForgetEnrollment removes the enrollment; there being none is no error.
func (d *Dir) ForgetEnrollment() error { return d.Remove(enrollmentFile) }

func (e Enrollment) check() error {
	if err := CheckControlURL(e.URL); err != nil {
		return err
	}
	if e.DeviceID == "" {
		return errors.New("device_id is missing")
	}
	if e.CAFile != "" && !filepath.IsAbs(e.CAFile) {
		return fmt.Errorf("ca_file %q is not an absolute path", e.CAFile)
	}
	return nil
}

// CheckControlURL tells whether s can be a control plane's address: http or
// https, a host, no user, no query and no fragment, since those would end up
// in logs.
func CheckControlURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return errors.New("control plane URL is empty")
	case err != nil:
		return errors.New("control plane URL cannot be parsed: write it as https://host or https://host:port") // the cause would repeat it
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return errors.New("control plane URL must begin with https:// (or http:// for one on this machine) and name a host")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("control plane URL must hold no user, query or fragment")
	}
	return nil
}

// decodeStrict decodes one JSON value; unknown fields and trailing data are
// errors, for these files are ours.
func decodeStrict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the file is empty")
		}
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value in the file")
	}
	return nil
}

// isMissing tells whether a state file is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
