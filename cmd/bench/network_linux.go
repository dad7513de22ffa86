package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// network is three network namespaces, joined by TUN devices: what one sends, this process reads, delays and writes
// to the other. The namespaces have no names and end with the bench and what it has started, whatever becomes of it.
//
// The machines' addresses are loopback ones that are routed between the namespaces (route_localnet): culvert and others
// speak without TLS to loopback only.
type network struct {
	spaces map[role]*os.File
	tuns   []*os.File
	legs   []*leg
	done   chan struct{}
	wg     sync.WaitGroup
}

// settings of each machine. The usual bound of TCP's send buffer, 4 MB, holds every connection to some 50 MB/s on a leg of
// 50 ms: the path shall be the bound, for all systems alike.
var settings = map[string]string{
	"conf/all/route_localnet": "1",
	"tcp_wmem":                "4096 16384 33554432",
	"tcp_rmem":                "4096 131072 33554432",
}

// machineIP are the machines' addresses in the network.
var machineIP = map[role]string{clientRole: "127.0.1.1", relayRole: "127.0.2.1", daemonRole: "127.0.3.1"}

// networkMissing says why no network can be made here; empty: it can. The first call tries it out.
var networkMissing = sync.OnceValue(func() string {
	n, err := newNetwork(context.Background(), "")
	if err != nil {
		return err.Error()
	}
	n.close()
	return ""
})

// newNetwork makes the namespaces and what lies between them. It needs root and iproute2.
// control is TCP's congestion control there, empty for the machine's.
func newNetwork(ctx context.Context, control string) (_ *network, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("only root may make them")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, errors.New("there is no ip (iproute2)")
	}
	n := &network{spaces: make(map[role]*os.File), done: make(chan struct{})}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	for r := range machineIP {
		if n.spaces[r], err = newSpace(); err != nil {
			return nil, fmt.Errorf("make a network namespace: %w", err)
		}
		if err := n.setUp(ctx, r, control); err != nil {
			return nil, err
		}
	}
	for _, r := range []role{clientRole, daemonRole} {
		if err := n.join(ctx, r); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// newSpace makes a namespace, which lives as long as the file.
func newSpace() (f *os.File, err error) {
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		f, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return f, err
}

// onThread runs fn on a thread of its own, which is in the machine's namespace at the beginning and thrown away if
// it cannot be brought back to it.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		err = fn()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // else the thread ends with this goroutine
		}
		done <- err
	}()
	return <-done
}

// enter runs fn in r's namespace: sockets and processes that it makes belong there for ever.
func (n *network) enter(r role, fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.spaces[r].Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the namespace of %s: %w", r, err)
		}
		return fn()
	})
}

// ip runs ip(8) in r's namespace.
func (n *network) ip(ctx context.Context, r role, args string) error {
	p := &place{enter: func(fn func() error) error { return n.enter(r, fn) }}
	_, err := run(ctx, p, nil, "ip", strings.Fields(args)...)
	return err
}

func (n *network) setUp(ctx context.Context, r role, control string) error {
	for _, args := range []string{
		"link set lo up", "addr del 127.0.0.1/8 dev lo", "addr add 127.0.0.1/32 dev lo", "addr add " + machineIP[r] + "/32 dev lo",
	} {
		if err := n.ip(ctx, r, args); err != nil {
			return err
		}
	}
	return n.enter(r, func() error {
		if control != "" {
			if err := os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(control), 0); err != nil {
				return fmt.Errorf("choose TCP congestion control %s (those in net.ipv4.tcp_allowed_congestion_control may be chosen: %s): %w", control, networkSetting("ipv4/tcp_allowed_congestion_control"), err)
			}
		}
		for name, text := range settings {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(text), 0); err != nil {
				return fmt.Errorf("set net.ipv4.%s: %w", strings.ReplaceAll(name, "/", "."), err)
			}
		}
		return nil
	})
}

// join makes the leg between r and the relay.
func (n *network) join(ctx context.Context, r role) error {
	var ends [2]*os.File
	for i, at := range []role{r, relayRole} {
		other := []role{relayRole, r}[i]
		dev := "to-" + string(other)
		err := n.enter(at, func() (err error) {
			ends[i], err = openTun(dev)
			return err
		})
		if err != nil {
			return fmt.Errorf("make a TUN device: %w", err)
		}
		n.tuns = append(n.tuns, ends[i])
		for _, args := range []string{
			"link set " + dev + " up txqueuelen 1000",
			"route add " + machineIP[other] + "/32 dev " + dev + " src " + machineIP[at],
		} {
			if err := n.ip(ctx, at, args); err != nil {
				return err
			}
		}
	}
	g := newLeg()
	n.legs = append(n.legs, g)
	n.pump(ends[1], ends[0], g.out)
	n.pump(ends[0], ends[1], g.in)
	return nil
}

const (
	tunHeader = 10 // struct virtio_net_hdr
	tunPacket = tunHeader + 1<<16
	// ipHeaders is what each segment of a large packet has in front when it is cut: IPv4 and TCP with timestamps.
	ipHeaders = 52
)

// openTun makes a TUN device in the namespace of the thread.
func openTun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "/dev/net/tun")
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = f.Close() // nothing was done with it
		return nil, err
	}
	// Made anew: only now, with a device, can the descriptor be polled.
	dup, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Close(), unix.SetNonblock(dup, true)); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(dup), name), nil
}

// set makes the conditions of all legs. Where packets can get lost they are of the size that a wire has; else the
// kernel hands over large ones, which count as what they would be cut into.
func (n *network) set(c conditions) error {
	offload := unix.TUN_F_CSUM | unix.TUN_F_TSO4
	if c.loss > 0 {
		offload = 0
	}
	for _, f := range n.tuns {
		raw, err := f.SyscallConn()
		if err != nil {
			return err
		}
		var ierr error
		if err := raw.Control(func(fd uintptr) { ierr = unix.IoctlSetInt(int(fd), unix.TUNSETOFFLOAD, offload) }); err != nil || ierr != nil {
			return fmt.Errorf("set offload: %w", errors.Join(err, ierr))
		}
	}
	for _, g := range n.legs {
		g.set(c)
	}
	return nil
}

// pump carries packets one way.
func (n *network) pump(dst, src *os.File, l *lane) {
	way := make(chan parcel, 1<<15) // never the bound: that is the lane's queue
	n.wg.Go(func() {
		defer close(way)
		buf := make([]byte, tunPacket)
		for {
			k, err := src.Read(buf)
			if err != nil {
				return
			}
			if at, ok := l.admit(wireSize(buf[:k])); ok {
				way <- parcel{at, append([]byte(nil), buf[:k]...)}
			}
		}
	})
	n.wg.Go(func() {
		a := newAlarm()
		for p := range way {
			a.until(p.at, n.done)
			_, _ = dst.Write(p.b) // what the kernel does not take is lost, as on any network
		}
	})
}

// wireSize is what a packet takes on the wire, cut into segments.
func wireSize(b []byte) int {
	size := len(b) - tunHeader
	if gso := int(binary.NativeEndian.Uint16(b[4:])); gso > 0 {
		size += (size - 1) / gso * ipHeaders
	}
	return size
}

func (n *network) close() {
	close(n.done)
	for _, f := range n.tuns {
		_ = f.Close() // the devices go with it
	}
	n.wg.Wait()
	for _, f := range n.spaces {
		if f != nil {
			_ = f.Close() // the namespace goes with its last process
		}
	}
}

// networkSite is the three machines of a new network.
func networkSite(ctx context.Context, control string) (*site, func(conditions) error, error) {
	n, err := newNetwork(ctx, control)
	if err != nil {
		return nil, nil, err
	}
	s := &site{places: make(map[role]*place), cleanup: []func(){n.close}}
	for r, ip := range machineIP {
		s.places[r] = &place{ip: ip, enter: func(fn func() error) error { return n.enter(r, fn) }}
	}
	return s, n.set, nil
}
