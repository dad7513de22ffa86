package relay_test

import (
	"testing"

	"culvert/sbrp"
)

func TestForwardsTheSameBytes(t *testing.T) {
	r := newRig(t, nil)
	d := r.daemon("d")
	c := r.session(d, "d", 7)
	for _, n := range []int{0, 1, 28, 240, 4096, 16384, 65535, 65536} {
		up := dataFrame(7, n, 1)
		c.send(up)
		d.want(up)
		down := dataFrame(7, n, 2)
		d.send(down)
		c.want(down)
	}
	c.close()
	d.wantControl(sbrp.CodeSessionEnded, 7)
}
