package osservice

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// unit is a systemd unit in the making.
type unit struct{ strings.Builder }

// line adds lines as they are.
func (u *unit) line(lines ...string) {
	for _, l := range lines {
		u.WriteString(l + "\n")
	}
}

// Unit is the systemd unit of a service.
func Unit(s Spec) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	if strings.ContainsAny(s.Executable, " $\"'\\;") {
		return "", usage("install culvert elsewhere", "the program's path %q has signs that a unit cannot", s.Executable)
	}
	env, credentials, args := []string{"CULVERT_STATE_DIR=" + s.StateDir}, []string(nil), s.Args
	if !s.User {
		credentials, args = certificates(args)
	}
	words := []string{s.Executable, string(s.Role)}
	for _, a := range args {
		if rest, ok := strings.CutPrefix(a, credentialsDir); ok {
			words = append(words, credentialsDir+execWord(rest))
			continue
		}
		words = append(words, execWord(a))
	}
	return s.unit(env, credentials, strings.Join(words, " ")), nil
}

// PackagedUnit is the unit that packages and examples/systemd bring: the relay's address
// stands in its environment, so that `systemctl edit` can set it.
func PackagedUnit(role Role, executable string) string {
	s := Spec{Role: role, RunAs: DefaultUser, Executable: executable}
	s.StateDir = "/var/lib/" + s.Name("linux")
	env := []string{"CULVERT_STATE_DIR=" + s.StateDir}
	if role == Up {
		return s.unit(env, nil, executable+" up")
	}
	env = append(env, "LISTEN=:443", "PUBLIC_URL=https://relay.example.org")
	return s.unit(env, []string{"cert.pem:/etc/culvert/cert.pem", "key.pem:/etc/culvert/key.pem"},
		executable+" relay --listen ${LISTEN} --public-url ${PUBLIC_URL} --tls-cert "+credentialsDir+"cert.pem --tls-key "+credentialsDir+"key.pem")
}

const credentialsDir = "${CREDENTIALS_DIRECTORY}/"

var credentialNames = map[string]string{"--tls-cert": "cert.pem", "--tls-key": "key.pem"}

// certificates has systemd read certificate and key, which belong to root, for the relay.
func certificates(args []string) (credentials, out []string) {
	for _, a := range args { // --flag=FILE as two words
		flag, file, joined := strings.Cut(a, "=")
		if _, ok := credentialNames[flag]; ok && joined {
			out = append(out, flag, file)
			continue
		}
		out = append(out, a)
	}
	for i := 1; i < len(out); i++ {
		name, ok := credentialNames[out[i-1]]
		if !ok || !path.IsAbs(out[i]) {
			continue
		}
		credentials = append(credentials, name+":"+unitText(out[i]))
		out[i] = credentialsDir + name
	}
	return credentials, out
}

// unit writes the unit. What is behind a # is for whoever reads it on the machine.
func (s Spec) unit(env, credentials []string, start string) string {
	u := &unit{}
	u.line("[Unit]", "Description="+unitText(s.description()))
	s.unitOrder(u)
	u.line("StartLimitIntervalSec=0", "", "[Service]",
		"# Ready is what is online, which may take for ever where there is no network.",
		"Type=notify", "TimeoutStartSec=infinity", "WatchdogSec=60")
	if !s.User {
		u.line("User=" + s.RunAs)
	}
	var quoted []string
	for _, e := range env {
		quoted = append(quoted, envWord(e))
	}
	u.line("Environment=" + strings.Join(quoted, " "))
	if credentials != nil {
		u.line("# systemd reads the key, which belongs to root, and shows it to the relay alone.")
		for _, c := range credentials {
			u.line("LoadCredential=" + c)
		}
	}
	u.line("ExecStart=" + start)
	s.unitRestart(u)
	u.line("")
	s.unitPlaces(u)
	s.unitConfinement(u)
	wanted := "multi-user.target"
	if s.User {
		wanted = "default.target"
	}
	u.line("", "[Install]", "WantedBy="+wanted)
	return u.String()
}

// unitOrder says when it starts: it does not hold up the boot until it is online, which a
// service with the default dependencies would.
func (s Spec) unitOrder(u *unit) {
	u.line("# Without the default dependencies, which would have the boot wait until this is ready.", "DefaultDependencies=no")
	if s.User {
		u.line("After=basic.target", "Conflicts=shutdown.target", "Before=shutdown.target")
		return
	}
	u.line("Requires=sysinit.target", "Wants=network-online.target", "After=sysinit.target basic.target network-online.target",
		"Conflicts=shutdown.target", "Before=shutdown.target")
}

// unitRestart says what happens when it ends.
func (s Spec) unitRestart(u *unit) {
	never := "10"
	if s.Role == Up {
		u.line("ExecReload="+s.Executable+" reload",
			"# culvert retries by itself what can heal. Not tried again: wrong configuration, not logged",
			"# in, and a daemon whose identity changed, which a person has to look at.")
		never = "10 11 25"
	}
	// Not 2, which is wrong words on the command line, but also how a Go program ends that
	// panics, or that the watchdog aborts.
	u.line("Restart=on-failure", "RestartSec=10", "RestartPreventExitStatus="+never)
	if s.Role == Relay {
		u.line("# Each tunnel takes a socket or two.", "LimitNOFILE=65536")
	}
}

// unitPlaces says which directories it has.
func (s Spec) unitPlaces(u *unit) {
	name := s.Name("linux")
	switch {
	case s.User:
		u.line("UMask=0077")
		return
	case s.StateDir == "/var/lib/"+name:
		u.line("StateDirectory="+name, "StateDirectoryMode=0700")
		if s.RunAs == DefaultUser {
			u.line("# Who is in the group culvert may ask it here, and so do what the user culvert may.",
				"RuntimeDirectory="+name, "RuntimeDirectoryMode=0750")
		}
	case belowHome(s.StateDir):
		u.line("BindPaths=" + quoteWord(unitText(s.StateDir)))
	default:
		u.line("ReadWritePaths=" + quoteWord(unitText(s.StateDir)))
	}
	u.line("UMask=0077")
}

// belowHome tells of a path that ProtectHome hides.
func belowHome(p string) bool {
	return slices.ContainsFunc([]string{"/home", "/root", "/run/user"}, func(dir string) bool {
		return p == dir || strings.HasPrefix(p, dir+"/")
	})
}

// unitConfinement is what it may not do.
func (s Spec) unitConfinement(u *unit) {
	u.line("NoNewPrivileges=yes")
	if !s.User { // what follows needs the superuser
		if s.Role == Relay {
			u.line("# For port 443 and no other purpose; PrivateUsers= would take it away.",
				"CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE")
		} else {
			u.line("CapabilityBoundingSet=")
		}
		u.line("ProtectSystem=strict")
		if belowHome(s.StateDir) {
			u.line("ProtectHome=tmpfs")
		} else {
			u.line("# Hides sockets below /home too; \"tmpfs\" with BindPaths= shows some of them.", "ProtectHome=yes")
		}
		u.line("PrivateTmp=yes", "PrivateDevices=yes", "DevicePolicy=closed")
		if s.Role == Up {
			u.line("PrivateUsers=yes")
		}
		u.line("ProtectProc=invisible", "ProcSubset=pid", "ProtectClock=yes", "ProtectControlGroups=yes", "ProtectHostname=yes",
			"ProtectKernelLogs=yes", "ProtectKernelModules=yes", "ProtectKernelTunables=yes", "RemoveIPC=yes")
	}
	u.line("LockPersonality=yes", "MemoryDenyWriteExecute=yes", "RestrictNamespaces=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes",
		"# Netlink tells of a changed network.", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
		"SystemCallArchitectures=native", "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources",
		"SystemCallErrorNumber=EPERM")
}

// unitText is text without specifiers.
func unitText(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// envWord is one assignment of Environment=.
func envWord(text string) string { return quoteWord(unitText(text)) }

// execWord is one argument of ExecStart=, which no variable is put into.
func execWord(text string) string {
	return quoteWord(strings.ReplaceAll(unitText(text), "$", "$$"))
}

// quoteWord keeps a word together, as systemd.syntax(7) says.
func quoteWord(text string) string {
	if text != "" && !strings.ContainsAny(text, " \"'\\;") {
		return text
	}
	return fmt.Sprintf(`"%s"`, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text))
}
