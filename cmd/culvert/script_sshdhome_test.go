package main

import (
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdSSHDHome is "sshdhome KNOWN [CONFIG]": makes ssh, which does not ask HOME where its
// files are, use the keys of the script's sshd, the known hosts of the file KNOWN, and the
// blocks of CONFIG (a file, or stdout). It puts an ssh in front of the PATH that runs the
// real one with that configuration.
func cmdSSHDHome(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs("ssh")
	var block string
	if len(args) > 1 {
		block = ts.ReadFile(args[1])
	}
	writeFile(ts, dir+"/known_hosts", ts.ReadFile(args[0]))
	config := strings.ReplaceAll(ts.ReadFile("ssh/config"), "  HostKeyAlias laptop\n", "")
	if _, ours, ok := strings.Cut(config, "Host *\n"); ok {
		config = block + "Host *\n" + ours
	}
	writeFile(ts, dir+"/config", config)
	ts.Check(os.MkdirAll(dir+"/bin", 0o700))
	real := findProgram("ssh")
	ts.Check(os.WriteFile(dir+"/bin/ssh", []byte("#!/bin/sh\nexec "+real+" -F '"+dir+"/config' \"$@\"\n"), 0o700))
	ts.Setenv("PATH", dir+"/bin"+string(os.PathListSeparator)+ts.Getenv("PATH"))
}
