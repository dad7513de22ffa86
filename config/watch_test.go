package config

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatch(t *testing.T) {
	d := openDir(t)
	synctest.Test(t, func(t *testing.T) {
		a := &AuthorizedClients{dir: d, now: time.Now, reported: make(map[string]bool)}
		line := key(1).String() + " laptop targets=web"
		write(t, d, line)
		ctx, cancel := context.WithCancel(t.Context())
		var changes atomic.Int32
		done := make(chan error, 1)
		go func() { done <- a.Watch(ctx, func() { changes.Add(1) }) }()
		step := func(what string, want int32) {
			t.Helper()
			time.Sleep(watchPoll + watchPoll/2) // fake time
			synctest.Wait()
			if changes := changes.Load(); changes != want {
				t.Errorf("%s: %d changes, want %d", what, changes, want)
			}
		}
		step("nothing has changed", 0)
		write(t, d, "# a comment", line)
		step("only a comment", 0)
		write(t, d, line+",db")
		step("another target", 1)
		write(t, d, line+",db", "broken")
		step("a broken line granted nothing before", 1)
		write(t, d, line+" expires="+time.Now().Add(10*time.Second).UTC().Format(time.RFC3339))
		step("an expiry", 2)
		time.Sleep(10 * time.Second)
		step("it has expired", 3)
		if err := os.Remove(d.File(clientsFile)); err != nil {
			t.Error(err)
		}
		step("the file is gone, nobody was left in it", 3)
		write(t, d, line)
		step("granted again", 4)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v", err)
		}
	})
}
