package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"culvert/service"
)

func newRelayCmd(a *app) *cobra.Command {
	var o service.RelayOptions
	var fd readyFD
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Run relay and control plane",
		Long: `Runs relay and control plane behind one listener. The first start makes an admin API
key and writes it to STATE/admin.key. Plain HTTP is served on loopback only, or behind a
proxy that does TLS.

Several machines share the work as nodes when they share a store in PostgreSQL: each with a
--node-url of its own, all with one --public-url, which may lead to any of them. Daemons and
clients of a node that fails go to the others, and their connections go on.`,
		Example: `  culvert relay                     # on loopback, to try it
  culvert relay --listen :443 --domain relay.example.org
  culvert relay --listen :443 --public-url https://relay.example.org --tls-cert cert.pem --tls-key key.pem
  culvert relay --listen 10.0.0.5:8443 --public-url https://relay.example.org --behind-proxy
  culvert relay --listen :443 --public-url https://relay.example.org --node-url https://n1.relay.example.org \
    --db postgres://culvert@db.example.org/culvert --tls-cert cert.pem --tls-key key.pem`,
		Args: subcommandArgs,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8443", "`HOST:PORT` to listen on; :8443 is every address, port 0 any port")
	f.StringVar(&o.PublicURL, "public-url", "", "`URL` under which daemons and clients reach it")
	f.StringVar(&o.NodeURL, "node-url", "", "`URL` under which this node alone is reached, where several share a store")
	f.StringSliceVar(&o.Domains, "domain", nil, "`NAMES` for which to get certificates by ACME, under the authority's terms; their port 443 must lead here")
	f.StringVar(&o.ACMECA, "acme-ca", "", "directory `URL` of the certificate authority (default: Let's Encrypt)")
	f.StringVar(&o.ACMECAFile, "acme-ca-file", "", "PEM `FILE` by which its server is believed (default: the system's)")
	f.StringVar(&o.TLSCert, "tls-cert", "", "PEM `FILE` with the certificate chain; read anew when it changes")
	f.StringVar(&o.TLSKey, "tls-key", "", "PEM `FILE` with its private key")
	f.BoolVar(&o.BehindProxy, "behind-proxy", false, "serve plain HTTP: a proxy in front does TLS")
	f.StringSliceVar(&o.TrustedProxies, "trusted-proxy", nil, "`ADDRESSES` or networks whose X-Forwarded-For is believed (default: loopback and private ones)")
	f.StringVar(&o.DB, "db", "", "`STORE` as sqlite:PATH or postgres://USER@HOST/DATABASE (default sqlite:STATE/relay.db)")
	o.Grace = time.Minute
	f.Var(span{&o.Grace}, "grace", "how long sessions of a daemon that was lost are kept")
	f.StringVar(&o.Metrics, "metrics", "", "`HOST:PORT` for Prometheus metrics, /healthz and /readyz, in plain HTTP (default: none)")
	f.StringVar(&o.Pprof, "pprof", "", "loopback `HOST:PORT` for the profiler (default: none)")
	f.Var(span{&o.Drain}, "drain", "on SIGTERM, over how much time connections are moved to other relays (default: at once)")
	addLimits(f, &o.Limits)
	f.StringVar(&o.Chaos, "chaos", "", "cheat as `SPEC` says, to test a set-up of one's own; loopback only (help: the words of a SPEC)")
	f.Lookup("chaos").Hidden = true // nobody needs it who runs a relay for others
	fd.add(cmd)
	cmd.RunE = a.runEndless(func(ctx context.Context, _ []string) error {
		if o.Chaos == "help" {
			a.print.script(service.ChaosUsage())
			return nil
		}
		if err := fd.open(); err != nil {
			return err
		}
		c, err := a.common()
		if err != nil {
			return err
		}
		o.Common = c
		o.Ready = func(i service.RelayInfo) {
			a.print.note("relay ready at %s (listening on %s)", i.URL, i.Addr)
			if i.Chaos != "" {
				a.print.warn([]error{fmt.Errorf("THIS RELAY CHEATS ON PURPOSE, for tests on this machine: --chaos %s", i.Chaos)})
			}
			if i.Metrics != "" {
				a.print.note("metrics at http://%s/metrics", i.Metrics)
			}
			if i.Pprof != "" {
				a.print.note("profiler at http://%s/debug/pprof/", i.Pprof)
			}
			if i.FirstRun {
				a.print.note("first start: the admin API key was written to %s", i.KeyFile)
				a.print.note("next: culvert relay key create --scope daemon,client --name NAME, then culvert login %s on each machine", i.URL)
			}
			fd.ready()
		}
		return a.calls.runRelay(ctx, o, notified(a.print.event))
	})
	cmd.AddCommand(newRelayKeyCmd(a), newRelayRotateCmd(a), newRelayBackupCmd(a), newRelayRestoreCmd(a))
	return cmd
}
