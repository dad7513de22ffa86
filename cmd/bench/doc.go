// Command bench measures culvert against what the same machine can do without it, and
// against other tools of its kind that are installed. It builds and runs the real binary.
//
//	make bench                                       # everything, three rounds
//	go run ./cmd/bench --only throughput --rounds 5
//	go run ./cmd/bench --systems null,culvert --only path --json
//
//	go run ./cmd/bench load -n 200 --settle 1s       # see below
//
// # Systems
//
// "null" is a chain of three plain TCP proxies in separate processes, without cryptography: what
// the topology client, relay, daemon costs by itself. Each copies through 32 KiB in user space
// (io.Copy's buffer, with splice(2) kept out). All ratios are to null in the same round. The others are
// culvert, culvert with TLS to the relay, ssh -J with two ciphers (when sshd and ssh are
// installed), frp (stcp) and chisel (when found in PATH).
//
// # Method
//
// All systems run side by side and idle; one is measured at a time. A round measures each
// figure of each system once, systems next to each other, in an order that rotates, so that a load on
// the machine that comes and goes meets all of them. Printed is the median of the rounds (min to
// max), and the median of the rounds' ratios to null.
//
// Load comes from this process, echo and round trips from processes of their own, so that
// their clocks do not wait behind the bulk. CPU is that of the system's processes with all
// their children and not of the load's. Memory is the processes' (PSS), without the kernel's
// socket buffers.
//
// The 100 ms path is 25 ms each way on both legs. As root on Linux the three machines are network
// namespaces, joined by TUN devices between which this process carries the IP packets with
// delay, rate limit, queue and loss: TCP works as on a real path. Elsewhere proxies in this process delay
// the bytes, which shapes but cannot lose any.
//
// # Load
//
// "bench load" (make load, Linux) is a run of its own: how many idle daemons and sessions one relay carries, how fast they
// come, what a gigabyte costs it, and how daemons come back after a crash. The relay is the real binary; the other ends
// are the real packages in two processes, which alone is why this command imports any. It writes sbrp/relay/LOAD.md.
package main
