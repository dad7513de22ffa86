package main

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// plistNode is one value of a property list, or a key.
type plistNode struct {
	XMLName xml.Name
	Text    string      `xml:",chardata"`
	Nodes   []plistNode `xml:",any"`
}

// launchdKeys are what of launchd the examples use, and the type of each; see launchd.plist(5).
var launchdKeys = map[string]string{
	"Label": "string", "ProgramArguments": "array", "RunAtLoad": "bool", "KeepAlive": "dict",
	"SuccessfulExit": "bool", "ThrottleInterval": "integer", "ProcessType": "string", "Umask": "integer",
}

// cmdPlist is "plist FILE [OLD NEW]...": checks that FILE is a property list for launchd,
// named after its label, and writes what it runs to plist.sh with each OLD, which must be
// there, replaced.
func cmdPlist(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args)%2 != 1 {
		ts.Fatalf("usage: plist FILE [OLD NEW]...")
	}
	var list struct {
		XMLName xml.Name    `xml:"plist"`
		Version string      `xml:"version,attr"`
		Nodes   []plistNode `xml:",any"`
	}
	ts.Check(xml.Unmarshal([]byte(ts.ReadFile(args[0])), &list))
	if list.Version != "1.0" || len(list.Nodes) != 1 {
		ts.Fatalf("%s: version %q with %d values, want 1.0 with one", args[0], list.Version, len(list.Nodes))
	}
	values, err := plistDict(list.Nodes[0])
	ts.Check(err)
	if label := values["Label"].Text; label+".plist" != args[0] {
		ts.Fatalf("%s: the label is %q", args[0], label)
	}
	script := "exec"
	for _, arg := range values["ProgramArguments"].Nodes {
		script += " '" + strings.ReplaceAll(arg.Text, "'", `'\''`) + "'"
	}
	if !strings.Contains(script, installed) {
		ts.Fatalf("%s does not run %s", args[0], installed)
	}
	script = strings.ReplaceAll(script, installed, "culvert")
	writeFile(ts, ts.MkAbs("plist.sh"), replaced(ts, args[0], script, args[1:])+"\n")
}

// plistDict checks the keys of a dictionary and the types of their values.
func plistDict(dict plistNode) (map[string]plistNode, error) {
	if dict.XMLName.Local != "dict" || len(dict.Nodes)%2 != 0 {
		return nil, fmt.Errorf("a <%s> of %d, want a <dict> of pairs", dict.XMLName.Local, len(dict.Nodes))
	}
	values := map[string]plistNode{}
	for pair := range slices.Chunk(dict.Nodes, 2) {
		key, value := pair[0], pair[1]
		kind := value.XMLName.Local
		if kind == "true" || kind == "false" {
			kind = "bool"
		}
		if want := launchdKeys[key.Text]; key.XMLName.Local != "key" || want == "" || kind != want {
			return nil, fmt.Errorf("<%s>%s with a %s: want one of %v", key.XMLName.Local, key.Text, kind, slices.Sorted(maps.Keys(launchdKeys)))
		}
		if _, twice := values[key.Text]; twice {
			return nil, fmt.Errorf("%s stands there twice", key.Text)
		}
		values[key.Text] = value
		if kind == "dict" {
			if _, err := plistDict(value); err != nil {
				return nil, err
			}
		}
	}
	return values, nil
}
