package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// loadedRelay is the real relay as a process of its own, whose limits for one address and one account
// are lifted: all load comes from this machine.
type loadedRelay struct {
	w           *world
	dir         string
	listen, url string
	metrics     string // address
	cert, key   string // files; empty: without TLS
	proc        *proc
}

func newLoadedRelay(w *world, withTLS bool) (*loadedRelay, error) {
	dir, err := w.tempDir("load")
	if err != nil {
		return nil, err
	}
	r := &loadedRelay{w: w, dir: dir}
	if r.listen, err = w.site.freeAddr(relayRole); err != nil {
		return nil, err
	}
	if r.metrics, err = w.site.freeAddr(relayRole); err != nil {
		return nil, err
	}
	r.url = "http://" + r.listen
	if withTLS {
		r.url = "https://" + r.listen
		r.cert, r.key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		err = writeCertificate(r.cert, r.key, w.site.place(relayRole).ip)
	}
	return r, err
}

func (r *loadedRelay) adminKey() string { return filepath.Join(r.dir, "relay", "admin.key") }

// start starts the process and waits until it serves.
func (r *loadedRelay) start(ctx context.Context) (err error) {
	args := []string{
		"relay", "--listen", r.listen, "--public-url", r.url, "--metrics", r.metrics, "--state-dir", filepath.Join(r.dir, "relay"), "--json",
		"--max-per-address", "0", "--max-per-account", "0", "--max-waiting", "0",
	}
	if r.cert != "" {
		args = append(args, "--tls-cert", r.cert, "--tls-key", r.key)
	}
	if r.proc, err = r.w.spawn(r.w.site.place(relayRole), relayRole, r.w.culvert, args...); err != nil {
		return err
	}
	_, err = awaitEvent(ctx, r.proc, func(e event) bool { return e.Event == "online" })
	return err
}

// kill ends the process as a crash does.
func (r *loadedRelay) kill() {
	killGroup(r.proc.cmd)
	<-r.proc.done
}

func (r *loadedRelay) stop() {
	if r.proc != nil {
		r.proc.stop()
	}
}

func (r *loadedRelay) pids() map[int]role { return map[int]role{r.proc.cmd.Process.Pid: relayRole} }

// cpu is the CPU time that the process has used.
func (r *loadedRelay) cpu() time.Duration { return cpuOf(r.pids())[relayRole] }

// usage is the memory of the relay at one moment.
type usage struct {
	pss, peak    int64 // bytes; of the process
	heap, stacks int64 // bytes of pss that are Go's live heap with its garbage, and its stacks
	goroutines   int64
	kernel       int64 // bytes; of the machine's kernel: slabs and TCP buffers
	daemons      int   // that the relay says are connected
	sessions     int   // that the relay says are paired
}

func (r *loadedRelay) usage(ctx context.Context) (usage, error) {
	m, err := r.scrape(ctx)
	if err != nil {
		return usage{}, err
	}
	now, peak := memoryOf(r.pids())
	return usage{
		pss: now[relayRole], peak: peak[relayRole], kernel: kernelMemory(),
		heap: int64(m["go_memstats_heap_alloc_bytes"]), stacks: int64(m["go_memstats_stack_inuse_bytes"]), goroutines: int64(m["go_goroutines"]),
		daemons:  int(m[`culvert_relay_connections{role="daemon"}`]),
		sessions: int(m[`culvert_relay_sessions{state="paired"}`]),
	}, nil
}

// scrape reads the relay's metrics.
func (r *loadedRelay) scrape(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.metrics+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr, Timeout: startTime}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("read the relay's metrics: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the relay's metrics: %w", err)
	}
	m := make(map[string]float64)
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil { // else a comment
			m[name] = v
		}
	}
	return m, nil
}
