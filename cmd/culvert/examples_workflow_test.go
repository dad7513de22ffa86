package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/testscript"
)

// workflowFile is what of a GitHub Actions workflow the examples use. A key that is not
// here is an error.
type workflowFile struct {
	Name string                 `yaml:"name"`
	On   []string               `yaml:"on"`
	Jobs map[string]workflowJob `yaml:"jobs"`
}

type workflowJob struct {
	RunsOn string         `yaml:"runs-on"`
	Steps  []workflowStep `yaml:"steps"`
}

type workflowStep struct {
	Name string            `yaml:"name"`
	Uses string            `yaml:"uses"`
	With map[string]string `yaml:"with"`
	Run  string            `yaml:"run"`
	Env  map[string]string `yaml:"env"`
}

// workflowValue is an expression that takes a secret or a variable of the project.
var workflowValue = regexp.MustCompile(`\$\{\{ (secrets|vars)\.(\w+) \}\}`)

// cmdWorkflow is "workflow FILE STEP": writes what the step of this name runs to
// workflow.sh, with its environment. Secrets and variables are the script's of that name.
func cmdWorkflow(ts *testscript.TestScript, _ bool, args []string) {
	var w workflowFile
	if err := yaml.UnmarshalWithOptions([]byte(ts.ReadFile(args[0])), &w, yaml.Strict()); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	for name, job := range w.Jobs {
		if job.RunsOn == "" || len(w.On) == 0 {
			ts.Fatalf("%s: job %s says not where, or the file not when", args[0], name)
		}
		for _, step := range job.Steps {
			if (step.Uses == "") == (step.Run == "") {
				ts.Fatalf("%s: step %q must either use or run something", args[0], step.Name)
			}
			if step.Name == args[1] {
				writeWorkflowStep(ts, step)
				return
			}
		}
	}
	ts.Fatalf("%s: no step is called %q", args[0], args[1])
}

func writeWorkflowStep(ts *testscript.TestScript, step workflowStep) {
	var b strings.Builder
	b.WriteString("set -e\n")
	for name, value := range step.Env {
		value = workflowValue.ReplaceAllStringFunc(value, func(s string) string {
			return ts.Getenv(workflowValue.FindStringSubmatch(s)[2])
		})
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	b.WriteString(step.Run + "\n")
	ts.Check(os.WriteFile(ts.MkAbs("workflow.sh"), []byte(b.String()), 0o600))
}
