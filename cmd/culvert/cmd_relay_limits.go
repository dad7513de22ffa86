package main

import (
	"github.com/spf13/pflag"

	"culvert/service"
)

// addLimits adds the flags that bound what strangers may take of a relay.
func addLimits(f *pflag.FlagSet, l *service.RelayLimits) {
	*l = service.DefaultRelayLimits()
	f.IntVar(&l.PerAddress, "max-per-address", l.PerAddress, "most `CONNECTIONS` of daemons and clients from one address (IPv6: /64); 0: any number")
	f.IntVar(&l.PerAccount, "max-per-account", l.PerAccount, "most `CONNECTIONS` of one account's daemons and their clients; 0: any number")
	f.IntVar(&l.Sessions, "max-sessions", l.Sessions, "most `SESSIONS` of one daemon at once; 0: any number")
	f.IntVar(&l.Waiting, "max-waiting", l.Waiting, "most HTTP `CONNECTIONS` of one address that are not upgraded; 0: any number")
	f.IntVar(&l.ClientMessages, "client-messages", l.ClientMessages, "most `MESSAGES` per second of one client; who is faster is slowed down; 0: any number")
	f.Var(byteSize{&l.ClientBytes}, "client-rate", "most `BYTES` per second of one client, such as 10MiB (default: any number)")
	f.IntVar(&l.DaemonMessages, "daemon-messages", l.DaemonMessages, "most `MESSAGES` per second of one daemon, all its sessions together; 0: any number")
	f.Var(byteSize{&l.DaemonBytes}, "daemon-rate", "most `BYTES` per second of one daemon (default: any number)")
	f.Var(byteSize{&l.ClientQueue}, "client-queue", "most `BYTES` that wait for one client; who reads more slowly than that is ended, and resumes")
	f.Var(byteSize{&l.QueueBudget}, "queue-budget", "most `BYTES` that wait for all clients together")
	f.Var(span{&l.HeaderTimeout}, "header-timeout", "how long TLS and a request's header may take")
	f.Var(span{&l.HandshakeTimeout}, "handshake-timeout", "how long a client may be without a handshake")
	f.Var(span{&l.TokenAge}, "max-token-age", "how long ago a relay token may have been issued")
}
