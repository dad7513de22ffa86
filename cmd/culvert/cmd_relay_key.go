package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"culvert/service"
)

func newRelayKeyCmd(a *app) *cobra.Command {
	return newGroupCmd("key", "API keys, with which machines are enrolled",
		`  culvert relay key create --scope daemon,client --name office --out office.key
  culvert relay key list`,
		newRelayKeyCreateCmd(a), newRelayKeyListCmd(a), newRelayKeyRevokeCmd(a))
}

// addDB adds the flag of every command that opens a relay's store.
func addDB(f *pflag.FlagSet, to *string) {
	f.StringVar(to, "db", "", "the relay's `STORE` as sqlite:PATH or postgres://USER@HOST/DATABASE (default sqlite:STATE/relay.db)")
}

// keyCells are the cells of one API key in a table.
func keyCells(k service.KeyRow) []string {
	state := "valid"
	if k.Expires != nil {
		state = "until " + date(*k.Expires)
		if k.Expires.Before(time.Now()) {
			state = "expired"
		}
	}
	if k.Revoked != nil {
		state = "revoked"
	}
	return []string{k.ID, k.Name, k.Account, strings.Join(k.Scopes, ","), date(k.Created), state}
}

// date is a time in a table: to the minute, in this machine's zone.
func date(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
