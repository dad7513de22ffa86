//go:build !race

// The race detector makes sync.Pool forget at random, so allocations are counted without it.

package wsconn_test

import (
	"fmt"
	"testing"

	"culvert/sbrp"
)

// TestMessagesAllocateNothing counts over both ends together: one message each way, written and read.
func TestMessagesAllocateNothing(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, size := range sizes {
			t.Run(fmt.Sprintf("tls=%v/size=%d", secure, size), func(t *testing.T) {
				client, server := pair(t, secure, nil)
				f := frame(size, 1)
				echo := make(chan error, 1)
				go func() {
					buf := make([]byte, sbrp.MaxFrame+1)
					for {
						n, err := server.Read(buf)
						if err == nil {
							err = server.Write(buf[:n])
						}
						if err != nil {
							echo <- err
							return
						}
					}
				}()
				buf := make([]byte, sbrp.MaxFrame+1)
				got := testing.AllocsPerRun(500, func() {
					if err := client.Write(f); err != nil {
						t.Fatal(err)
					}
					if _, err := client.Read(buf); err != nil {
						t.Fatal(err)
					}
				})
				limit := 0.0
				if secure {
					limit = 10 // crypto/tls allocates a little for each of the ten records
				}
				if got > limit {
					t.Errorf("%.0f allocations for two messages, want %.0f at most", got, limit)
				}
				client.CloseNow()
				<-echo
			})
		}
	}
}
