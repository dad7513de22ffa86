package chaos

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"reflect"
	"testing"

	"culvert/sbrp"
	"culvert/sbrp/e2ee"
)

// The same seed and the same messages meet the same; another seed, another session or the other way do not.
func TestSeed(t *testing.T) {
	const all = "drop=0.1,flip=0.1,truncate=0.1,reorder=0.1,replay=0.1,reflect=0.1,swap-session=0.1,forge=0.1,cut=0.1,on=all,seed="
	run := func(text string, nth int, to sbrp.Role) (fates []fate) {
		s := newStream(spec(t, text), nth, to)
		for n := range 200 {
			fates = append(fates, s.meet(message(n)))
		}
		return fates
	}
	want := run(all+"7", 1, sbrp.RoleClient)
	if !reflect.DeepEqual(want, run(all+"7", 1, sbrp.RoleClient)) {
		t.Error("the same seed gives something else")
	}
	for name, got := range map[string][]fate{
		"seed": run(all+"8", 1, sbrp.RoleClient), "session": run(all+"7", 2, sbrp.RoleClient), "end": run(all+"7", 1, sbrp.RoleDaemon),
	} {
		if reflect.DeepEqual(want, got) {
			t.Errorf("another %s gives the same", name)
		}
	}
}

// What befalls ten messages by each word alone.
func TestCheats(t *testing.T) {
	many := func(text string) (fates []fate, out [][]byte) {
		s := newStream(spec(t, text+",seed=3"), 1, sbrp.RoleClient)
		for n := range 10 {
			f := s.meet(message(n))
			fates, out = append(fates, f), append(out, append(f.before, f.out...)...)
		}
		return fates, out
	}
	numbers := func(out [][]byte) (ns []int) {
		for _, b := range out {
			ns = append(ns, int(binary.BigEndian.Uint16(b[sbrp.HeaderSize:])))
		}
		return ns
	}
	count := func(fates []fate, is func(fate) bool) (n int) {
		for _, f := range fates {
			if is(f) {
				n++
			}
		}
		return n
	}
	if _, out := many("drop=1"); len(out) != 0 {
		t.Errorf("drop: %d are delivered", len(out))
	}
	if _, out := many("drop"); len(out) != 9 {
		t.Errorf("drop, once: %d are delivered", len(out))
	}
	if _, out := many("reorder=1"); !reflect.DeepEqual(numbers(out), []int{1, 0, 3, 2, 5, 4, 7, 6, 9, 8}) {
		t.Errorf("reorder: %v", numbers(out))
	}
	if _, out := many("replay=1"); len(out) != 29 {
		t.Errorf("replay: %d are delivered, want 10 twice and 9 once more", len(out))
	}
	for _, word := range []string{"reflect", "swap-session", "cut"} {
		is := func(f fate) bool {
			return word == "reflect" && f.back || word == "swap-session" && f.other || word == "cut" && f.cut
		}
		if fates, out := many(word + "=1"); len(out) != 10 || count(fates, is) != 10 {
			t.Errorf("%s: %d of %d", word, count(fates, is), len(out))
		}
		if fates, _ := many(word); count(fates, is) != 1 {
			t.Errorf("%s, once: %d times", word, count(fates, is))
		}
		if fates, _ := many(word + ",to=daemon"); count(fates, is) != 0 {
			t.Errorf("%s to the other end: %d times", word, count(fates, is))
		}
		if fates, _ := many(word + ",on=handshake"); count(fates, is) != 0 {
			t.Errorf("%s in the handshake: %d times", word, count(fates, is))
		}
	}
	if _, out := many("forge=1"); len(out) != 20 || len(out[0]) != sbrp.HeaderSize+forged {
		t.Errorf("forge: %d are delivered", len(out))
	}
	for n, b := range second(many("flip=1")) {
		if want := message(n).Message; bits(want, b) != 1 || !bytes.Equal(want[:sbrp.HeaderSize], b[:sbrp.HeaderSize]) {
			t.Errorf("flip: %d bits of message %d", bits(want, b), n)
		}
	}
	for n, b := range second(many("truncate=1")) {
		if f, err := sbrp.ParseFrame(b); err != nil || len(f.Payload) >= 62 || !bytes.HasPrefix(message(n).Frame.Payload, f.Payload) {
			t.Errorf("truncate: %x, %v", b, err)
		}
	}
	if fates, _ := many("control=session_ended@3,control=forbidden@3"); len(fates[2].before) != 2 || !bytes.Equal(fates[2].before[0], Say(sbrp.CodeSessionEnded, 7)) ||
		count(fates, func(f fate) bool { return len(f.before) > 0 }) != 1 {
		t.Errorf("control: %+v", fates)
	}
}

func second[T any](_ []fate, out T) T { return out }

func bits(a, b []byte) (n int) {
	if len(a) != len(b) {
		return -1
	}
	for i := range a {
		for x := a[i] ^ b[i]; x != 0; x &= x - 1 {
			n++
		}
	}
	return n
}

// What befalls the handshake.
func TestHandshakeCheats(t *testing.T) {
	meet := func(text string, d Delivery) fate { return newStream(spec(t, text+",seed=1"), 1, d.To).meet(d) }
	toClient, toDaemon := shake(sbrp.RoleClient), shake(sbrp.RoleDaemon)
	if f := meet("strip", toClient); len(f.out) != 1 || len(f.out[0]) != sbrp.HeaderSize+sbrp.AcceptSizeShort {
		t.Errorf("strip: %+v", f)
	}
	if f := meet("swap-identity", toDaemon); !f.pose || len(f.out) != 0 {
		t.Errorf("swap-identity: %+v", f)
	}
	for _, d := range []Delivery{toClient, toDaemon} {
		f := meet("swap-ephemeral", d)
		if len(f.out) != 1 || len(f.out[0]) != len(d.Message) || bits(f.out[0], d.Message) < 60 {
			t.Errorf("swap-ephemeral: %+v", f)
		}
		if f := meet("drop=1", d); len(f.out) != 1 {
			t.Errorf("drop of sealed messages drops %v", d.Frame.Type)
		}
		if f := meet("drop=1,on=handshake", d); len(f.out) != 0 {
			t.Errorf("drop in the handshake delivers %v", d.Frame.Type)
		}
		if f := meet("control=forbidden@0", d); len(f.before) != 1 {
			t.Errorf("nothing is said before %v", d.Frame.Type)
		}
	}
}

// A pose is good in itself: only the pin tells that it is another daemon.
func TestPose(t *testing.T) {
	own := e2ee.GenerateIdentity()
	i := e2ee.NewInitiator("d", own.PublicKey())
	init := i.Init()
	accept, err := Pose(own, "d", init[:])
	if err != nil {
		t.Fatal(err)
	}
	if s, err := i.Finish(accept); err != nil {
		t.Errorf("a client that had pinned it would refuse it: %v", err)
	} else {
		s.Wipe()
	}
	if _, err := Pose(own, "d", init[:ed25519.PublicKeySize-1]); err == nil {
		t.Error("half a key is answered")
	}
}
