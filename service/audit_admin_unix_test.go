//go:build unix

package service

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a user asks a service to do is written down as his. Windows does not tell who asks.
func TestAuditAskedBy(t *testing.T) {
	dir := ""
	socket, _ := serveCommands(t, func(ctx context.Context, _ []string, _, stderr io.Writer) int {
		_, err := Grant(ctx, GrantOptions{Common: Common{StateDir: dir}, Client: strings.Repeat("A", 42) + "E", Name: "phone", Targets: []string{"web"}})
		if err != nil {
			_, _ = io.WriteString(stderr, err.Error()) // the test says it
		}
		return int(CodeOf(err))
	})
	dir = filepath.Dir(filepath.Dir(socket))
	var said strings.Builder
	if code, err := askCommand(t.Context(), socket, nil, io.Discard, &said); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, said.String())
	}
	w := &world{t: t, dir: filepath.Dir(dir)}
	wantLine(t, w.auditLines(filepath.Base(dir)), actGranted, `"uid":`+jsonOf(t, os.Getuid()), `"asked":"service"`)
}
