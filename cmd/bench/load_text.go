package main

// loadText is LOAD.md.
const loadText = `# Load on one relay

Written by ` + "`make load`" + `; do not edit. Measured on {{.Date}} at {{.Version}}, in {{.Took}}:
{{.Machine}}, load {{.Load}}. Load that is others' makes times longer, and CPU figures larger
to a lesser degree: compare them with the proxy's.

## Crowds

{{.Crowd}}
How: the real ` + "`culvert relay`" + ` as a process, with SQLite, without limits per address and account. Two more processes on the
same CPUs hold the other ends: package endpoint's daemons and sessions, each with a TCP connection of its own
over loopback, and package api for registration and tokens, a new connection for each request. {{.Workers}} of them come at once,
except in the storm. Pings run as always. The relay's own metrics confirm how many are there; in the end a message
goes through every session and back.
{{if not .All}}
A process may have {{.Files}} files here: of the {{.Count}} daemons, {{.Kept}} stay while the {{.Count}} sessions are there. Memory per daemon was
taken with all of them.
{{end}}
- Memory is the relay process's (PSS), after it has been left alone for a while: what it grew by, divided. Garbage that the
  collector has not returned yet counts. Kernel memory is the growth of the machine's slabs and TCP buffers with the daemons,
  halved because both ends are here; it is not part of the other figures.
- A session's set-up is the request for its token, the WebSocket, and the handshake with the daemon, whose end
  and whose client's end compute on the same CPUs. The relay's own CPU says what it could do alone.
- The storm: the relay is killed (SIGKILL), started again once every daemon has noticed, and each daemon comes when its backoff
  lets it; a daemon that meets no relay registers anew before it connects.

## CPU per GB

{{.Carried}}
How: {{.Streams}} TCP streams through client, relay and daemon, each a process on the same CPUs, as ` + "`make bench`" + ` does it; half of the
time down, half up. The proxy is the middle one of a chain of three that copy through 32 KiB in user space. Only the process in the
middle is counted. They are measured next to each other in every round; the median of the rounds is given.

## Capacity

For a node of {{.Cores}} cores and {{.Memory}} GiB, of which {{.Share}} % may be used by peers that are idle, calculated from the above:

{{.Capacity}}
- Memory: the larger of a daemon's idle memory and its share of the storm's peak, and a session's memory, and the kernel's for
  two connections.
- CPU while idle: in proportion to the connections.
- After a crash: every daemon and a session for each is to be back within {{.Within}} s, with all cores: the storm's CPU for a
  daemon and a session's set-up.
- A node needs a limit of open files of twice its daemons and some hundreds (LimitNOFILE).
- Traffic comes on top: see CPU per GB.

Run again: ` + "`make load`" + `. This was ` + "`{{.Command}}`" + `. It scales down: ` + "`go run ./cmd/bench load -n 200 --settle 1s`" + `.
`
