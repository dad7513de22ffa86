package config

import (
	"io/fs"
	"os"
)

// owner is nobody: who may use a file is inherited from its directory.
type owner struct{}

func ownerOf(fs.FileInfo) owner { return owner{} }

func (owner) give(*os.File) error { return nil }
