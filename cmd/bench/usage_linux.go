package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usageKnown says that CPU and memory of processes can be read here.
const usageKnown = true

// tick is the unit of times in /proc/PID/stat (USER_HZ).
const tick = 10 * time.Millisecond

// procStat is what /proc/PID/stat says of interest.
type procStat struct {
	parent int
	cpu    time.Duration // user and system, its own and of children that it has waited for
}

func readStat(pid int) (procStat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from field 3, the state, on
	if len(f) < 15 {
		return procStat{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f)+2)
	}
	var s procStat
	s.parent, _ = strconv.Atoi(f[1]) // the kernel writes numbers
	for _, t := range f[11:15] {
		n, _ := strconv.ParseInt(t, 10, 64)
		s.cpu += time.Duration(n) * tick
	}
	return s, nil
}

// family returns the processes given and all their descendants, each with its ancestor's role.
func family(roots map[int]role) (map[int]role, map[int]procStat) {
	stats := make(map[int]procStat)
	entries, _ := os.ReadDir("/proc") // nothing then, which shows
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil { // else it has just ended
			stats[pid] = s
		}
	}
	all := make(map[int]role)
	for pid := range stats {
		for p, depth := pid, 0; p > 1 && depth < 64; p, depth = stats[p].parent, depth+1 {
			if r, ok := roots[p]; ok {
				all[pid] = r
				break
			}
		}
	}
	return all, stats
}

// cpuOf is the CPU time that the processes and their descendants have used, by role.
func cpuOf(roots map[int]role) map[role]time.Duration {
	sum := make(map[role]time.Duration)
	all, stats := family(roots)
	for pid, r := range all {
		sum[r] += stats[pid].cpu
	}
	return sum
}

// selfCPU is the CPU time of this process, without that of its children.
func selfCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// machineCPU is the CPU time that all processes of the machine have used.
func machineCPU() time.Duration {
	b, _ := os.ReadFile("/proc/stat") // nothing then
	line, _, _ := strings.Cut(string(b), "\n")
	var busy time.Duration
	for i, f := range strings.Fields(line) {
		if n, err := strconv.ParseInt(f, 10, 64); err == nil && i != 4 && i != 5 && i <= 8 { // idle and iowait; guests are in user
			busy += time.Duration(n) * tick
		}
	}
	return busy
}

// memoryOf is the memory in bytes of the processes and their descendants, by role: now (PSS), and the sum of
// each one's peak (RSS).
func memoryOf(roots map[int]role) (now, peak map[role]int64) {
	now, peak = make(map[role]int64), make(map[role]int64)
	all, _ := family(roots)
	for pid, r := range all {
		now[r] += procField(pid, "smaps_rollup", "Pss:")
		peak[r] += procField(pid, "status", "VmHWM:")
	}
	return now, peak
}

// procField reads a field in kB of a file of /proc/PID; 0 if the process has just ended.
func procField(pid int, file, name string) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// loadAverage is the machine's of the last minute, as text.
func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// networkSetting is a file of /proc/sys/net, as text.
func networkSetting(name string) string {
	b, _ := os.ReadFile("/proc/sys/net/" + name)
	return strings.TrimSpace(string(b))
}

// kernelVersion is the kernel's release.
func kernelVersion() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(b))
}
