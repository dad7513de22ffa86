package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

var errNotDir error = syscall.ENOTDIR

// Owner is nothing here: what is made in a directory inherits its access list.
type Owner struct{}

// Named is nothing here: an administrator may have any file.
func Named() Owner { return Owner{} }

// OwnerOf is nothing here.
func OwnerOf(fs.FileInfo) Owner { return Owner{} }

// Give does nothing here.
func (Owner) Give(*os.File) error { return nil }

// Check refuses an open file whose access list is not fit for its use with an *Error.
func (Owner) Check(f *os.File, _ fs.FileInfo, path string, use Use) error {
	sd, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT, asked)
	if err != nil {
		return fmt.Errorf("read access list of %s: %w", path, err)
	}
	return check(path, false, use, sd)
}

// asked is what is read of a file's protection.
const asked = windows.OWNER_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION

// CheckDir refuses a directory that others can change or list: what is made in it
// inherits its access list.
func CheckDir(path string, _ fs.FileInfo) error {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, asked)
	if err != nil {
		return fmt.Errorf("read access list of %s: %w", path, err)
	}
	return check(path, true, Secret, sd)
}

// CheckClosed refuses a directory that anybody but this user can enter, or that is
// none: a link to one is not taken.
func CheckClosed(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: errNotDir}
	}
	return CheckDir(path, fi)
}

func check(path string, dir bool, use Use, sd *windows.SECURITY_DESCRIPTOR) error {
	list, err := listOf(sd)
	if err != nil {
		return fmt.Errorf("read access list of %s: %w", path, err)
	}
	me, err := self()
	if err != nil {
		return err
	}
	return viewer{sid: me, elevated: windows.GetCurrentProcessToken().IsElevated()}.judge(path, dir, use, list)
}

// listOf puts what the system says into words of ours.
func listOf(sd *windows.SECURITY_DESCRIPTOR) (acl, error) {
	owner, _, err := sd.Owner()
	if err != nil {
		return acl{}, err
	}
	list := acl{owner: owner.String()}
	dacl, _, err := sd.DACL()
	if errors.Is(err, windows.ERROR_OBJECT_NOT_FOUND) || err == nil && dacl == nil {
		list.none = true
		return list, nil
	}
	if err != nil {
		return acl{}, err
	}
	for i := range uint32(dacl.AceCount) {
		var a *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &a); err != nil {
			return acl{}, err
		}
		entry := ace{kind: a.Header.AceType, flags: a.Header.AceFlags, mask: uint32(a.Mask)}
		if entry.kind == aceAllow || entry.kind == aceDeny { // the other kinds are laid out in other ways
			entry.sid = (*windows.SID)(unsafe.Pointer(&a.SidStart)).String()
		} else {
			entry.sid = fmt.Sprintf("entry of kind %d", entry.kind)
		}
		list.aces = append(list.aces, entry)
	}
	return list, nil
}

// self is the SID of this process's user.
func self() (string, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("ask for this process's user: %w", err)
	}
	return user.User.Sid.String(), nil
}

// attributes are what something is made with: protected from its first moment on.
func attributes(dir bool) (*windows.SecurityAttributes, error) {
	me, err := self()
	if err != nil {
		return nil, err
	}
	sd, err := windows.SecurityDescriptorFromString(sddl(me, dir))
	if err != nil {
		return nil, fmt.Errorf("make an access list: %w", err)
	}
	return &windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})), SecurityDescriptor: sd}, nil
}

// Mkdir makes a directory for this user, the system and the administrators.
func Mkdir(path string) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	sa, err := attributes(true)
	if err != nil {
		return err
	}
	if err := windows.CreateDirectory(name, sa); err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return nil
}

// openFile makes the file first, if it is to be made: os.OpenFile knows nothing of
// access lists.
func openFile(path string, flag int) (*os.File, error) {
	if flag&os.O_CREATE != 0 {
		err := makeFile(path)
		if err != nil && (flag&os.O_EXCL != 0 || !errors.Is(err, fs.ErrExist)) {
			return nil, err
		}
	}
	return os.OpenFile(path, flag&^(os.O_CREATE|os.O_EXCL), 0)
}

func makeFile(path string) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	sa, err := attributes(false)
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, sa, windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return windows.CloseHandle(h)
}

// Leave makes a directory that of another account, the system and the administrators:
// a service's, which is installed by an administrator.
func Leave(path, account string) error {
	sid, _, _, err := windows.LookupSID("", account)
	if err != nil {
		return fmt.Errorf("look up %s: %w", account, err)
	}
	sd, err := windows.SecurityDescriptorFromString(sddl(sid.String(), true))
	if err != nil {
		return fmt.Errorf("make an access list: %w", err)
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return fmt.Errorf("make an access list: %w", err)
	}
	return windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
}
