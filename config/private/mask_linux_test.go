package private

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// list is a POSIX access list of (kind, permissions, id).
func list(entries ...[3]uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

const nobody = 0xffff_ffff

// systemdList is what systemd makes of a credential for a service's user.
func systemdList(uid uint32) []byte {
	return list([3]uint32{aclUserObj, 4, nobody}, [3]uint32{aclUser, 4, uid}, [3]uint32{aclGroupObj, 0, nobody}, [3]uint32{aclMask, 4, nobody}, [3]uint32{aclOther, 0, nobody})
}

func TestNobodyElse(t *testing.T) {
	good := systemdList(1000)
	for name, c := range map[string]struct {
		list []byte
		want bool
	}{
		"a credential":           {good, true},
		"another's credential":   {systemdList(1001), false},
		"the superuser's":        {systemdList(0), true},
		"a group's":              {list([3]uint32{aclUserObj, 6, nobody}, [3]uint32{aclGroupObj, 4, nobody}, [3]uint32{aclMask, 4, nobody}, [3]uint32{aclOther, 0, nobody}), false},
		"a named group":          {list([3]uint32{aclUserObj, 6, nobody}, [3]uint32{aclGroupObj, 0, nobody}, [3]uint32{aclGroup, 4, 100}, [3]uint32{aclMask, 4, nobody}, [3]uint32{aclOther, 0, nobody}), false},
		"no mask":                {list([3]uint32{aclUserObj, 6, nobody}, [3]uint32{aclGroupObj, 0, nobody}, [3]uint32{aclOther, 0, nobody}), false},
		"an entry of a new kind": {append(systemdList(1000), list([3]uint32{0x40, 4, 1})[4:]...), false},
		"empty":                  {nil, false},
		"cut":                    {good[:len(good)-1], false},
		"another version":        {append([]byte{3, 0, 0, 0}, good[4:]...), false},
	} {
		if got := nobodyElse(c.list, 1000); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

func FuzzNobodyElse(f *testing.F) {
	f.Add(systemdList(1000), 1000)
	f.Add([]byte{2, 0, 0, 0}, 0)
	f.Fuzz(func(_ *testing.T, b []byte, uid int) { nobodyElse(b, uid) })
}

// A credential as systemd makes it is read; one that others can read by its access
// list is not.
func TestCredential(t *testing.T) {
	for name, uid := range map[string]uint32{"for this user": uint32(os.Geteuid()), "for another": uint32(os.Geteuid()) + 7} {
		path := write(t, filepath.Join(t.TempDir(), "credential"), 0o400)
		err := unix.Setxattr(path, aclAttribute, systemdList(uid), 0)
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Log("left out: access lists, which this file system does not have")
			if os.Getenv("CULVERT_TEST_REQUIRE_ALL") == "1" {
				t.Error("CULVERT_TEST_REQUIRE_ALL=1, but the temporary directory has no access lists")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(path)
		if err != nil || fi.Mode().Perm() != 0o440 {
			t.Fatalf("mode %v, %v; want the mask in it", fi.Mode(), err)
		}
		f, err := Open(path, Secret)
		if err == nil {
			f.Close()
		}
		if name == "for this user" && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if name != "for this user" {
			wantRefused(t, name, err, whyRead, "chmod 600 ")
		}
	}
}
