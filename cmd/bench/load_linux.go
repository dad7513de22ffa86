package main

import (
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelMemory is what the machine's kernel holds in slabs (sockets, files, epoll entries among them) and in TCP
// buffers, in bytes. It is the whole machine's: only its growth says something.
func kernelMemory() int64 {
	b, _ := os.ReadFile("/proc/meminfo") // nothing then, which shows
	var sum int64
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Slab:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			sum += n << 10
		}
	}
	b, _ = os.ReadFile("/proc/net/sockstat") // as above
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		for i := 1; i+1 < len(f) && f[0] == "TCP:"; i++ {
			if f[i] == "mem" {
				n, _ := strconv.ParseInt(f[i+1], 10, 64)
				sum += n * int64(os.Getpagesize())
			}
		}
	}
	return sum
}

// fileLimit is how many files a process may have open: Go raises its own limit to the hard one.
func fileLimit() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Max > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(l.Max)
}

// sourceAddresses is how many addresses the load comes from: one address has some 28,000 ports.
const sourceAddresses = 8

// sourceAddress is the i-th: all of 127/8 is this machine.
func sourceAddress(i uint64) net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2+byte(i%sourceAddresses))}
}

// processor is the name and the memory of the machine.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo") // nothing then
	name := "unknown processor"
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			name = strings.TrimSpace(v)
			break
		}
	}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) != nil {
		return name
	}
	return fmt.Sprintf("%s, %.0f GiB", name, float64(s.Totalram)*float64(s.Unit)/(1<<30))
}
