package wsconn_test

import (
	"bytes"
	"fmt"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/wsconn"
)

func TestMessagesOfEverySize(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			client, server := pair(t, secure, nil)
			for _, way := range []struct {
				name     string
				from, to *wsconn.Conn
			}{{"client to server", client, server}, {"server to client", server, client}} {
				sizes := []int{0, 1, 100, 112, 113, 125 - 13, 126 - 13, 140, 160, 4070, 4096, 16384, 65535 - 13, 65536 - 13, 65535, 65536}
				errs := make(chan error, 1)
				go func() {
					for i, n := range sizes {
						if err := way.from.Write(frame(n, i)); err != nil {
							errs <- err
							return
						}
					}
					errs <- nil
				}()
				buf := make([]byte, sbrp.MaxFrame+1)
				for i, n := range sizes {
					k, err := way.to.Read(buf)
					if err != nil {
						t.Fatalf("%s: payload of %d: %v", way.name, n, err)
					}
					if !bytes.Equal(buf[:k], frame(n, i)) {
						t.Fatalf("%s: payload of %d: got %d other bytes", way.name, n, k)
					}
				}
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
