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

// readKeyFile returns what is in the file, without the white space around it.
func readKeyFile(path string) (string, error) {
	f, err := os.Open(path)
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
	return &service.Error{
		Code: service.CodeConfig, Name: "key_file", Err: err,
		Mend: "give the file that `culvert relay key create` was written to",
	}
}
