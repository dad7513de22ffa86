package private

import (
	"fmt"
	"slices"
	"strings"
)

// acl is what Windows knows of a file's protection.
type acl struct {
	owner string // SID
	none  bool   // there is no list: everybody may do everything
	aces  []ace
}

// ace is one entry of an access list.
type ace struct {
	kind  byte // ACE_TYPE
	flags byte
	mask  uint32
	sid   string
}

// Values of ace (winnt.h; [MS-DTYP] 2.4.4).
const (
	aceAllow       = 0x00
	aceDeny        = 0x01
	aceInheritOnly = 0x08 // not for the object itself, but for what is made in it
)

// Well-known SIDs ([MS-DTYP] 2.4.2.4).
const (
	sidSystem         = "S-1-5-18"
	sidAdministrators = "S-1-5-32-544"
	sidCreatorOwner   = "S-1-3-0" // whoever makes a file in a directory
	sidOwnerRights    = "S-1-3-4" // whoever owns the file
	sidAllServices    = "S-1-5-80-0"
	servicePrefix     = "S-1-5-80-" // the account of one service, which an administrator has installed
)

// What an entry may let somebody do that others must not ([MS-DTYP] 2.4.3, and the
// rights of files and directories).
const (
	maskRead = 0x0001 | // read the file, list the directory
		0x0020 | // execute the file, pass through the directory
		0x8000_0000 | 0x2000_0000 | 0x1000_0000 | 0x0200_0000 // generic read, execute, all; as much as there is
	maskChange = 0x0002 | 0x0004 | // write or append; make a file or a directory
		0x0010 | 0x0040 | 0x0100 | // write extended attributes; delete what is inside; write attributes
		0x0001_0000 | 0x0004_0000 | 0x0008_0000 | // delete; write the access list; take ownership
		0x4000_0000 | 0x1000_0000 | 0x0200_0000 // generic write, all; as much as there is
)

// viewer is who asks.
type viewer struct {
	sid      string
	elevated bool // an administrator, who works for the file's owner too
}

// judge tells what is wrong with a file or directory of that path; nil: it is fit for
// its use. What is made in a directory inherits its list: its entries count all.
func (v viewer) judge(path string, dir bool, use Use, list acl) error {
	e := &Error{Path: path}
	if !v.accepts(list.owner, "") && !v.elevated {
		e.Mode, e.Why, e.Mend = "owner "+list.owner, whyForeign, fmt.Sprintf(`icacls "%s" /setowner "*%s"`, path, v.sid)
		return e
	}
	if list.none {
		e.Mode, e.Why, e.Mend = "no list", whyNoList, v.mend(path, dir, list.owner, nil)
		return e
	}
	var others []string // whose entries are too much
	for _, a := range list.aces {
		if !v.tooMuch(a, dir, use, list.owner) {
			continue
		}
		if e.Why == "" || a.mask&maskRead != 0 && use == Secret {
			e.Why = whyChange
			if a.mask&maskRead != 0 && use == Secret {
				e.Why = whyRead
			}
		}
		if !slices.Contains(others, a.sid) {
			others = append(others, a.sid)
		}
	}
	if len(others) == 0 {
		return nil
	}
	e.Mode, e.Mend = strings.Join(others, ", "), v.mend(path, dir, list.owner, others)
	return e
}

// tooMuch tells whether an entry lets somebody do what he must not.
func (v viewer) tooMuch(a ace, dir bool, use Use, owner string) bool {
	bad := uint32(maskChange)
	if use == Secret {
		bad |= maskRead
	}
	switch {
	case a.kind == aceDeny:
		return false
	case a.flags&aceInheritOnly != 0 && !dir:
		return false
	case a.kind != aceAllow:
		return true // conditions and objects: nothing that we make, or could weigh
	}
	return a.mask&bad != 0 && !v.accepts(a.sid, owner)
}

// accepts tells whether somebody may have the file: this user, the system, the
// administrators, a service; and for an administrator, the file's owner.
func (v viewer) accepts(sid, owner string) bool {
	switch sid {
	case v.sid, sidSystem, sidAdministrators, sidCreatorOwner, sidOwnerRights:
		return true
	case sidAllServices, "":
		return false
	}
	return strings.HasPrefix(sid, servicePrefix) || v.elevated && sid == owner
}

// mend is the command that leaves the file to those who may have it. SIDs, because
// the names of groups are in the system's language.
func (v viewer) mend(path string, dir bool, owner string, others []string) string {
	keep := []string{v.sid, sidSystem, sidAdministrators}
	if v.elevated && owner != "" && owner != sidSystem && owner != sidAdministrators && owner != sidAllServices {
		keep[0] = owner
	}
	rights := ":F"
	if dir {
		rights = ":(OI)(CI)F"
	}
	var b strings.Builder
	fmt.Fprintf(&b, `icacls "%s" /inheritance:r /grant:r`, path)
	for _, sid := range keep {
		fmt.Fprintf(&b, ` "*%s%s"`, sid, rights)
	}
	if len(others) > 0 {
		b.WriteString(" /remove:g")
		for _, sid := range others {
			fmt.Fprintf(&b, ` "*%s"`, sid)
		}
	}
	return b.String()
}

// sddl is the security descriptor of what a user makes: nothing is inherited, and what
// is made in a directory inherits this.
func sddl(sid string, dir bool) string {
	flags := ""
	if dir {
		flags = "OICI"
	}
	return fmt.Sprintf("D:P(A;%[1]s;FA;;;%[2]s)(A;%[1]s;FA;;;SY)(A;%[1]s;FA;;;BA)", flags, sid)
}
