package private

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

const (
	me      = "S-1-5-21-1-2-3-1001"
	another = "S-1-5-21-1-2-3-1002"
	svc     = "S-1-5-80-1-2-3-4-5"
)

// parseSDDL reads an owner and a list in the system's own form, such as
// "O:S-1-5-18D:P(A;OICI;FA;;;SY)(A;;0x1;;;WD)".
func parseSDDL(t *testing.T, text string) acl {
	t.Helper()
	short := map[string]string{"SY": sidSystem, "BA": sidAdministrators, "WD": "S-1-1-0", "AU": "S-1-5-11", "BU": "S-1-5-32-545", "CO": sidCreatorOwner, "OW": sidOwnerRights, "me": me, "other": another, "svc": svc}
	sid := func(s string) string {
		if long, ok := short[s]; ok {
			return long
		}
		return s
	}
	owner, rest, ok := strings.Cut(strings.TrimPrefix(text, "O:"), "D:")
	list := acl{owner: sid(owner), none: !ok || rest == "NO_ACCESS_CONTROL"}
	if list.none {
		return list
	}
	for part := range strings.SplitSeq(strings.TrimLeft(rest, "PAI"), ")") {
		if part == "" {
			continue
		}
		f := strings.Split(strings.TrimPrefix(part, "("), ";")
		kind, ok := map[string]byte{"A": aceAllow, "D": aceDeny, "XA": 9, "OA": 5}[f[0]]
		if !ok || len(f) != 6 {
			t.Fatalf("%q is no entry", part)
		}
		a := ace{kind: kind, sid: sid(f[5])}
		if strings.Contains(f[1], "IO") {
			a.flags = aceInheritOnly
		}
		masks := map[string]uint32{"FA": 0x1f01ff, "FR": 0x120089, "FW": 0x120116, "FX": 0x1200a0, "GA": 0x1000_0000, "GR": 0x8000_0000, "RC": 0x2_0000}
		if a.mask, ok = masks[f[2]]; !ok {
			n, err := strconv.ParseUint(f[2], 0, 32)
			if err != nil {
				t.Fatalf("%q: %v", part, err)
			}
			a.mask = uint32(n)
		}
		list.aces = append(list.aces, a)
	}
	return list
}

// The lists that Windows has for files that people and programs make, and what is
// thought of each.
func TestJudge(t *testing.T) {
	user, admin := viewer{sid: me}, viewer{sid: me, elevated: true}
	const profile = "O:meD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIID;FA;;;me)"
	for name, c := range map[string]struct {
		who  viewer
		list string
		dir  bool
		use  Use
		why  string
		mend string // part of it
	}{
		"as we make a file":                    {who: user, list: "O:me" + sddl("me", false)},
		"as we make a directory":               {who: user, list: "O:me" + sddl("me", true), dir: true},
		"in the profile":                       {who: user, list: profile},
		"directory in the profile":             {who: user, list: profile, dir: true},
		"made by an administrator":             {who: user, list: "O:BAD:P(A;;FA;;;me)(A;;FA;;;SY)(A;;FA;;;BA)"},
		"only its owner, by CREATOR OWNER":     {who: user, list: "O:meD:P(A;;FA;;;OW)(A;OICIIO;FA;;;CO)", dir: true},
		"nobody at all":                        {who: user, list: "O:meD:P"},
		"others may see that it is there":      {who: user, list: "O:meD:(A;;FA;;;me)(A;;RC;;;WD)(A;;0x100080;;;WD)"},
		"others are denied":                    {who: user, list: "O:meD:(D;;FA;;;WD)(A;;FA;;;me)"},
		"a service's, seen by itself":          {who: viewer{sid: svc}, list: "O:BA" + sddl("svc", true), dir: true},
		"a service's, seen by an admin":        {who: admin, list: "O:BA" + sddl("svc", true), dir: true},
		"another user's, seen by an admin":     {who: admin, list: "O:other" + sddl("other", false)},
		"trust: others may read":               {who: user, use: Trust, list: "O:meD:(A;;FA;;;me)(A;;FR;;;BU)"},
		"inherited in a file, for no children": {who: user, list: "O:meD:(A;;FA;;;me)(A;OICIIO;FA;;;BU)"},

		"everybody reads":               {user, "O:meD:(A;;FA;;;me)(A;;FR;;;WD)", false, Secret, whyRead, `/remove:g "*S-1-1-0"`},
		"everybody reads, generic":      {user, "O:meD:(A;;FA;;;me)(A;;GR;;;WD)", false, Secret, whyRead, `/remove:g "*S-1-1-0"`},
		"all, generic":                  {user, "O:meD:(A;;FA;;;me)(A;;GA;;;AU)", false, Trust, whyChange, `"*S-1-5-11"`},
		"one bit of reading":            {user, "O:meD:(A;;0x1;;;other)", false, Secret, whyRead, another},
		"another user":                  {user, "O:meD:(A;;FA;;;me)(A;;FA;;;other)", false, Secret, whyRead, another},
		"other users change":            {user, "O:meD:(A;;FA;;;me)(A;;FW;;;BU)", false, Secret, whyChange, "S-1-5-32-545"},
		"trust: others write":           {user, "O:meD:(A;;FA;;;me)(A;;FW;;;BU)", false, Trust, whyChange, "S-1-5-32-545"},
		"trust: others take it":         {user, "O:meD:(A;;FA;;;me)(A;;0x80000;;;BU)", false, Trust, whyChange, "S-1-5-32-545"},
		"trust: others change the list": {user, "O:meD:(A;;FA;;;me)(A;;0x40000;;;BU)", false, Trust, whyChange, "S-1-5-32-545"},
		"two others":                    {user, "O:meD:(A;;FW;;;BU)(A;;FR;;;WD)", false, Secret, whyRead, `/remove:g "*S-1-5-32-545" "*S-1-1-0"`},
		"denied after allowed":          {user, "O:meD:(A;;FR;;;WD)(D;;FR;;;WD)", false, Secret, whyRead, "S-1-1-0"},
		"no list":                       {user, "O:me", false, Secret, whyNoList, "/inheritance:r /grant:r"},
		"every service":                 {user, "O:meD:(A;;FA;;;me)(A;;FR;;;S-1-5-80-0)", false, Secret, whyRead, "S-1-5-80-0"},
		"with a condition":              {user, "O:meD:(A;;FA;;;me)(XA;;0x1;;;me)", false, Secret, whyRead, ""},
		"of an object":                  {user, "O:meD:(OA;;0x2;;;SY)", false, Trust, whyChange, ""},
		"another's":                     {user, "O:other" + sddl("me", false), false, Secret, whyForeign, `/setowner "*` + me},
		"another's list":                {user, "O:me" + sddl("other", false), false, Secret, whyRead, another},
		"admin: a third one reads":      {admin, "O:otherD:(A;;FA;;;other)(A;;FR;;;WD)", false, Secret, whyRead, `/grant:r "*` + another + `:F"`},
		"directory: users list":         {user, "O:meD:(A;OICI;FA;;;me)(A;OICI;FR;;;BU)", true, Secret, whyRead, `:(OI)(CI)F"`},
		"directory: for children":       {user, "O:meD:(A;OICI;FA;;;me)(A;OICIIO;GR;;;BU)", true, Secret, whyRead, "S-1-5-32-545"},
		// As C:\ProgramData gives it to what is made there.
		"directory in ProgramData": {user, "O:meD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)(A;OICIIOID;GA;;;CO)(A;OICIID;0x1200a9;;;BU)(A;CIID;0x116;;;BU)", true, Secret, whyRead, `icacls "C:\x y" /inheritance:r`},
	} {
		err := c.who.judge(`C:\x y`, c.dir, c.use, parseSDDL(t, c.list))
		e, refused := errors.AsType[*Error](err)
		switch {
		case c.why == "":
			if err != nil {
				t.Errorf("%s: refused: %v", name, err)
			}
		case !refused || e.Why != c.why || !strings.Contains(e.Mend, c.mend) || !strings.HasPrefix(e.Mend, "icacls "):
			t.Errorf("%s: %v, want that it %s, and %q in the mend", name, err, c.why, c.mend)
		}
	}
}

// A mend that is carried out is enough: what it leaves is accepted.
func TestMendIsEnough(t *testing.T) {
	err := viewer{sid: me}.judge(`C:\key`, false, Secret, parseSDDL(t, "O:meD:(A;;FA;;;BU)"))
	e, ok := errors.AsType[*Error](err)
	want := `icacls "C:\key" /inheritance:r /grant:r "*` + me + `:F" "*S-1-5-18:F" "*S-1-5-32-544:F" /remove:g "*S-1-5-32-545"`
	if !ok || e.Mend != want {
		t.Fatalf("%v, want the mend %s", err, want)
	}
	var left acl
	left.owner = me
	for word := range strings.FieldsSeq(strings.Split(strings.Split(want, "/grant:r")[1], "/remove")[0]) {
		sid, _, _ := strings.Cut(strings.Trim(word, `"*`), ":")
		left.aces = append(left.aces, ace{mask: 0x1f01ff, sid: sid})
	}
	if err := (viewer{sid: me}).judge(`C:\key`, false, Secret, left); err != nil || len(left.aces) != 3 {
		t.Errorf("what the mend leaves: %+v, %v", left, err)
	}
}
