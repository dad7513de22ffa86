package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/testscript"
)

// composeFile is what of the Compose specification the examples use. A key that is not here
// is an error.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
}

type composeService struct {
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	Image       string   `yaml:"image"`
	Command     []string `yaml:"command"`
	Ports       []string `yaml:"ports"`
	Volumes     []string `yaml:"volumes"`
	Tmpfs       []string `yaml:"tmpfs"`
	DependsOn   []string `yaml:"depends_on"`
	Restart     string   `yaml:"restart"`
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
}

// composeImage is what a Dockerfile's last stage says about a container.
type composeImage struct {
	env        []string
	entrypoint []string
}

// composeVariable is ${NAME:-default}.
var composeVariable = regexp.MustCompile(`\$\{(\w+):-([^}]*)\}`)

// cmdCompose is "compose FILE": checks the file, and writes each service to
// service-NAME.sh, which runs its command, or that of the arguments, as a process: paths
// below volumes are those of $WORK/volumes or of the directory here.
func cmdCompose(ts *testscript.TestScript, _ bool, args []string) {
	text := composeVariable.ReplaceAllStringFunc(ts.ReadFile(args[0]), func(s string) string {
		m := composeVariable.FindStringSubmatch(s)
		if value := ts.Getenv(m[1]); value != "" {
			return value
		}
		return m[2]
	})
	var c composeFile
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	images := map[string]composeImage{}
	for _, s := range c.Services {
		if s.Build.Context != "" {
			images[s.Image] = readDockerfile(ts, s)
		}
	}
	for name, s := range c.Services {
		for _, other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				ts.Fatalf("%s depends on %s, which is no service", name, other)
			}
		}
		writeService(ts, &c, name, images[s.Image])
	}
}

// readDockerfile checks that the build's parts are there, and reads the last stage.
func readDockerfile(ts *testscript.TestScript, s composeService) composeImage {
	root := filepath.Join(ts.Getenv("REPO"), "examples", filepath.Base(ts.MkAbs(".")), s.Build.Context)
	text, err := os.ReadFile(filepath.Join(root, s.Build.Dockerfile))
	ts.Check(err)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	ts.Check(err)
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if version == nil || !strings.Contains(string(text), "FROM golang:"+string(version[1])+" ") {
		ts.Fatalf("%s does not build with the Go of go.mod", s.Build.Dockerfile)
	}
	var image composeImage
	for line := range strings.Lines(string(text)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "FROM":
			image = composeImage{}
		case "ENV":
			image.env = append(image.env, strings.Fields(rest)...)
		case "ENTRYPOINT":
			ts.Check(json.Unmarshal([]byte(rest), &image.entrypoint))
		}
	}
	return image
}

// writeService writes the service's process as a shell script.
func writeService(ts *testscript.TestScript, c *composeFile, name string, image composeImage) {
	s := c.Services[name]
	var paths []string // in the container, and here
	for _, v := range s.Volumes {
		from, to, _ := strings.Cut(v, ":")
		to, _, _ = strings.Cut(to, ":")
		if _, named := c.Volumes[from]; named {
			from = filepath.Join(ts.Getenv("WORK"), "volumes", from)
			ts.Check(os.MkdirAll(from, 0o700))
		} else {
			from = ts.MkAbs(from)
		}
		if _, err := os.Stat(from); err != nil {
			ts.Fatalf("%s: volume %s: %v", name, v, err)
		}
		paths = append(paths, to, from)
	}
	here := func(words []string) string {
		var b strings.Builder
		for _, word := range words {
			for pair := range slices.Chunk(paths, 2) {
				word = strings.ReplaceAll(word, pair[0], pair[1])
			}
			b.WriteString(" '" + strings.ReplaceAll(word, "'", `'\''`) + "'")
		}
		return strings.ReplaceAll(b.String(), "'"+installed+"'", "culvert")
	}
	var script strings.Builder
	script.WriteString("set -e\n[ $# -gt 0 ] || set --" + here(s.Command) + "\n")
	for _, kv := range image.env {
		if !strings.HasPrefix(kv, "PATH=") { // there is nothing but culvert
			script.WriteString("export" + here([]string{kv}) + "\n")
		}
	}
	fmt.Fprintf(&script, "[ -z \"${EXEC:-}\" ] || exec \"$@\"\nexec%s \"$@\"\n", here(image.entrypoint))
	writeFile(ts, ts.MkAbs("service-"+name+".sh"), script.String())
}

// cmdFreePort is "freeport VAR": a port of loopback on which nobody listens, and which the
// system does not give away again so soon.
func cmdFreePort(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	ts.Check(ln.Close())
}
