package osservice

import (
	"bytes"
	"encoding/xml"
	"path"
	"strings"
)

// Plist is the property list of a service for launchd.
func Plist(s Spec) (string, error) {
	if err := s.check(); err != nil {
		return "", err
	}
	p := &plist{}
	p.WriteString(xml.Header)
	p.WriteString(`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n")
	p.WriteString("<plist version=\"1.0\">\n<dict>\n")
	p.text("Label", s.Name("darwin"))
	p.key("ProgramArguments", "<array>")
	for _, word := range append([]string{s.Executable, string(s.Role)}, s.Args...) {
		p.WriteString("\t\t<string>" + escapeXML(word) + "</string>\n")
	}
	p.WriteString("\t</array>\n")
	p.key("EnvironmentVariables", "<dict>")
	p.WriteString("\t\t<key>CULVERT_STATE_DIR</key>\n\t\t<string>" + escapeXML(s.StateDir) + "</string>\n\t</dict>\n")
	if !s.User {
		p.text("UserName", s.RunAs)
	}
	p.key("RunAtLoad", "<true/>")
	p.key("KeepAlive", "<dict>")
	p.WriteString("\t\t<key>SuccessfulExit</key>\n\t\t<false/>\n\t</dict>\n")
	p.key("ThrottleInterval", "<integer>10</integer>")
	p.key("ProcessType", "<string>Background</string>")
	p.key("Umask", "<integer>63</integer>")
	p.text("StandardOutPath", s.logFile())
	p.text("StandardErrorPath", s.logFile())
	p.WriteString("</dict>\n</plist>\n")
	return p.String(), nil
}

// logFile is where launchd writes what the service says: in the logs of the user that it
// runs as, who can open it.
func (s Spec) logFile() string {
	return path.Join(s.Home, "Library/Logs", strings.TrimPrefix(s.Name("darwin"), "org.")+".log")
}

type plist struct{ strings.Builder }

func (p *plist) key(name, value string) {
	p.WriteString("\t<key>" + name + "</key>\n\t" + value + "\n")
}

func (p *plist) text(name, value string) {
	p.key(name, "<string>"+escapeXML(value)+"</string>")
}

func escapeXML(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer does not fail
	return b.String()
}
