package service

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"culvert/sbrp/control/pgtest"
)

// A relay that is started before its database says so, waits, and is online when it is there.
func TestRelayWaitsForDatabase(t *testing.T) {
	pgtest.Need(t)
	db, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Stop)
	db.Kill()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events, ready, done := make(chan Event, 100), make(chan RelayInfo, 1), make(chan error, 1)
	run := func(ctx context.Context) {
		done <- RunRelay(ctx, RelayOptions{
			Common: Common{StateDir: filepath.Join(t.TempDir(), "relay")}, Listen: "127.0.0.1:0", DB: db.URL("postgres"),
			Ready: func(i RelayInfo) { ready <- i },
		}, func(e Event) { events <- e })
	}
	// One that is told to end while it waits ends in order.
	go run(ctx)
	if e := receive(t, "word about the database", events); e.Event != EventError || e.Code != "store_away" || !strings.Contains(e.Message, db.Socket()) {
		t.Errorf("event %+v, want store_away with the socket", e)
	}
	cancel()
	if err := receive(t, "end", done); err != nil {
		t.Errorf("told to end while it waits: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	go run(ctx)
	receive(t, "word about the database", events)
	if err := db.Run(); err != nil {
		t.Fatal(err)
	}
	receive(t, "relay", ready)
	if e := receive(t, "event", events); e.Event != EventOnline {
		t.Errorf("event %+v, want online", e)
	}
	cancel()
	if err := receive(t, "end", done); err != nil {
		t.Error(err)
	}
}
