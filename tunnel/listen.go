package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"time"
)

// staleDialTimeout bounds the look whether somebody still listens on a Unix
// socket that is in the way. A live program's kernel answers at once.
const staleDialTimeout = time.Second

// listen opens the listener of a forward. suggested is the port for TargetPort.
// Errors are *BindError.
func listen(spec ForwardSpec, suggested int) (net.Listener, error) {
	if spec.Network == NetworkUnix {
		return listenUnix(spec.Path)
	}
	if spec.Port != TargetPort {
		return listenTCP(spec, spec.Port)
	}
	ln, err := listenTCP(spec, suggested)
	if be, ok := errors.AsType[*BindError](err); ok && be.Kind == BindNotPermitted {
		// ssh on 22: the port was our idea, and one below 1024 may not be
		// opened by everybody. A busy port stays an error: a program that is
		// told 3000 should not find somebody else's server there.
		return listenTCP(spec, 0)
	}
	return ln, err
}

func listenTCP(spec ForwardSpec, port int) (net.Listener, error) {
	addr := net.JoinHostPort(spec.Bind, strconv.Itoa(port))
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		return ln, nil
	}
	be := &BindError{Addr: addr, Kind: bindKindOf(err), Err: err}
	switch be.Kind {
	case BindBusy:
		be.Hint = fmt.Sprintf("another program has it; use 0:%s for any free port, or another one, PORT:%s", spec.Target, spec.Target)
	case BindNotPermitted:
		be.Hint = fmt.Sprintf("ports below 1024 need more rights; use PORT:%s with a higher one", spec.Target)
	case BindNoAddress:
		be.Hint = "use 127.0.0.1, 0.0.0.0, or an address that this machine has"
	}
	return nil, be
}

// listenUnix listens on a socket of mode 0600. A socket that a program has left
// behind is removed; one on which somebody listens is not.
func listenUnix(path string) (net.Listener, error) {
	ln, err := bindUnix(path)
	if err == nil {
		return ln, nil
	}
	be := &BindError{Addr: "unix:" + path, Kind: bindKindOf(err), Err: err}
	if be.Kind != BindBusy {
		if errors.Is(err, fs.ErrNotExist) {
			be.Hint = "the directory does not exist"
		}
		return nil, be
	}
	fi, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, be
	case fi.Mode().Type() != fs.ModeSocket:
		be.Hint = "there is a file of that name which is no socket; it is left alone"
		return nil, be
	}
	c, err := net.DialTimeout("unix", path, staleDialTimeout)
	if err == nil {
		_ = c.Close() // it was opened to see that it opens
	}
	if err == nil || !isRefused(err) {
		be.Hint = "a program listens on it"
		return nil, be
	}
	if err := os.Remove(path); err != nil {
		be.Kind, be.Err, be.Hint = bindKindOf(err), err, "a dead program's socket is in the way and cannot be removed"
		return nil, be
	}
	if ln, err = bindUnix(path); err != nil {
		be.Kind, be.Err = bindKindOf(err), err
		return nil, be
	}
	return ln, nil
}

// bindUnix binds a socket that its owner alone may connect to.
func bindUnix(path string) (net.Listener, error) {
	// A context has nothing to cancel here: no name is resolved.
	ln, err := unixListenConfig().Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close() // and removes the socket
		return nil, err
	}
	return ln, nil
}
