package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// readyFD is the flag --ready-fd of a long-running command: the number of an open
// descriptor that gets "ready\n" and is closed once everything asked for is ready. On
// Windows, where descriptors are not inherited by number, it is the value of an inherited
// handle. 1 and 2 are stdout and stderr everywhere; they stay open for what follows.
type readyFD struct {
	number int // 0: not asked for
	file   *os.File
	once   sync.Once
}

var _ pflag.Value = (*readyFD)(nil)

func (r *readyFD) add(cmd *cobra.Command) {
	cmd.Flags().Var(r, "ready-fd", "write \"ready\" to descriptor `N` and close it once everything is ready")
}

// String is the flag's default, which is none.
func (r *readyFD) String() string { return "" }

// Set takes the number; open checks what it stands for.
func (r *readyFD) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return errors.New("write the number of an open descriptor, such as 3")
	}
	r.number = int(n)
	return nil
}

// Type names the flag's kind of value.
func (r *readyFD) Type() string { return "descriptor" }

// open checks the descriptor, before anything else is opened that could take its number.
func (r *readyFD) open() error {
	const mend = "open the descriptor for culvert, such as: culvert … --ready-fd 3 3>ready.txt"
	switch {
	case r.number == 0:
		return nil
	case r.number == 1:
		r.file = os.Stdout
	case r.number == 2:
		r.file = os.Stderr
	default:
		if err := checkInherited(r.number); err != nil {
			return usagef(mend, "--ready-fd %d: %w", r.number, err)
		}
		r.file = os.NewFile(uintptr(r.number), fmt.Sprintf("ready-fd %d", r.number))
	}
	return nil
}

// ready tells that everything is ready, a service manager too. Who waited for it may be gone: that is not a
// reason to stop what others use.
func (r *readyFD) ready() {
	r.once.Do(func() {
		notify(daemon.SdNotifyReady)
		if r.file == nil {
			return
		}
		_, _ = r.file.WriteString("ready\n")
		if r.number > 2 {
			_ = r.file.Close()
		}
	})
}
