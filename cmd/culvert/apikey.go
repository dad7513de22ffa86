package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"culvert/config"
	"culvert/service"
)

// apiKey reads the API key from where secrets may come from: the file of --key-file, the
// file that CULVERT_API_KEY_FILE names, stdin when it is not a terminal, or else a prompt.
// No error holds what was read.
func (a *app) apiKey(ctx context.Context, flag string) (string, error) {
	path, fromFile := config.APIKeyFile(flag)
	var key string
	var err error
	switch {
	case fromFile && path != "-":
		key, err = readKeyFile(path)
	case a.canAsk() && !fromFile:
		key, err = a.readHidden(ctx, "API key (not shown): ")
	default:
		key, err = a.readLine(ctx)
		if errors.Is(err, io.EOF) {
			err = nil // empty, as below
		}
	}
	if err != nil {
		return "", err
	}
	if key == "" || strings.ContainsAny(key, " \t\r\n") {
		return "", usagef("culvert login URL --key-file FILE, with the key alone in FILE", "there is no API key in what was given")
	}
	return key, nil
}

// readKeyFile returns what is in the file, without the white space around it. One that
// other users can read is refused.
func readKeyFile(path string) (string, error) {
	f, err := config.OpenSecretFile(path)
	if err != nil {
		return "", keyFileError(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxInput))
	if err != nil {
		return "", keyFileError(err)
	}
	return strings.TrimSpace(string(b)), nil
}

func keyFileError(err error) error {
	e := &service.Error{Code: service.CodeConfig, Name: "key_file", Err: err}
	if _, says := errors.AsType[*config.PermissionError](err); !says {
		e.Mend = "give the file that `culvert relay key create --out` has written"
	}
	return e
}

// keyFile is a new file for a key; nil: there is none.
type keyFile struct{ f *os.File }

// newKeyFile makes the file before there is a key that could be lost.
func newKeyFile(path string) (*keyFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := config.NewSecretFile(path)
	if err != nil {
		return nil, &service.Error{Code: service.CodeConfig, Name: "key_file", Err: err, Mend: "give --out a file that is not there yet, in a directory that you may write"}
	}
	return &keyFile{f}, nil
}

// write writes the key and closes the file.
func (k *keyFile) write(key string) error {
	f := k.f
	k.f = nil
	_, err := f.WriteString(key + "\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// discard removes a file that no key was written to.
func (k *keyFile) discard() {
	if k != nil && k.f != nil {
		_ = k.f.Close()           // it is empty
		_ = os.Remove(k.f.Name()) // best effort: it is empty
	}
}
