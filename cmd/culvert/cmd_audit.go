package main

import "github.com/spf13/cobra"

func newAuditCmd(a *app) *cobra.Command {
	return newGroupCmd("audit", "The daemon's log of who connected to what",
		`  culvert audit show --json
  culvert audit verify`,
		newAuditShowCmd(a), newAuditVerifyCmd(a))
}
