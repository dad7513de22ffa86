package main

import (
	"context"
	"errors"
	"fmt"

	"culvert/config"
	"culvert/service"
)

// passphrase gets the passphrase of the device key from where secrets may come from: the
// file of --passphrase-file, the file that CULVERT_PASSPHRASE_FILE names, or a terminal.
func (a *app) passphrase(ctx context.Context) (config.Secret, error) {
	if path, ok := config.PassphraseFile(a.flags.phrase); ok {
		return phraseFrom(path)
	}
	return a.askPassphrase(ctx, "passphrase of this machine's key (not shown): ")
}

// phraseFrom reads a passphrase from a file that others must not be able to read.
func phraseFrom(path string) (config.Secret, error) {
	s, err := config.ReadSecretFile(path)
	if err != nil {
		return config.Secret{}, &service.Error{Code: service.CodeConfig, Name: "passphrase_file", Err: err}
	}
	return s, nil
}

// askPassphrase asks on the terminal: on stdin, or where that is something else, as it is for
// ssh's ProxyCommand, on the one that stderr is.
func (a *app) askPassphrase(ctx context.Context, prompt string) (config.Secret, error) {
	var text string
	var err error
	switch {
	case a.canAsk():
		text, err = a.readHidden(ctx, prompt)
	case a.tty.err:
		tty, oerr := openTerminal()
		if oerr != nil {
			return config.Secret{}, config.ErrPassphraseNeeded
		}
		defer tty.Close()
		text, err = a.readHiddenFrom(ctx, tty, prompt)
	default:
		return config.Secret{}, config.ErrPassphraseNeeded
	}
	return config.NewSecret(text), err
}

// newPassphrase gets a new passphrase: from a file, or typed twice.
func (a *app) newPassphrase(ctx context.Context, file string) (config.Secret, error) {
	if file != "" {
		s, err := phraseFrom(file)
		if err == nil {
			err = checkPassphrase(s)
		}
		return s, err
	}
	first, err := a.askPassphrase(ctx, "new passphrase (not shown): ")
	if errors.Is(err, config.ErrPassphraseNeeded) {
		err = usagef("give --new-file FILE, or run it on a terminal", "there is no new passphrase")
	}
	if err == nil {
		err = checkPassphrase(first)
	}
	if err != nil {
		return config.Secret{}, err
	}
	again, err := a.askPassphrase(ctx, "the same again: ")
	if err == nil && again.Reveal() != first.Reveal() {
		err = usagef("type the same twice", "the two passphrases differ: nothing was changed")
	}
	return first, err
}

func checkPassphrase(s config.Secret) error {
	if err := config.CheckPassphrase(s); err != nil {
		return usagef(fmt.Sprintf("take one of %d characters or more; five random words are good", config.MinPassphrase), "%w", err)
	}
	return nil
}
