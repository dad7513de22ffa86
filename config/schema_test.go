package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "write the schema in the examples anew")

const examples = "../examples/config"

// TestSchemaFile compares the schema that the examples name with the present one.
func TestSchemaFile(t *testing.T) {
	path := filepath.Join(examples, "config.schema.json")
	if *update {
		if err := os.WriteFile(path, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, path); got != string(Schema()) {
		t.Errorf("%s is not what Schema makes: go test ./config -run Schema -update", path)
	}
}

// TestSchemaExamples checks that the schema and the loader take each example.
func TestSchemaExamples(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(examples, "*.yaml"))
	if err != nil || len(paths) < 3 {
		t.Fatalf("examples: %v, %v", paths, err)
	}
	used := map[string]bool{}
	for _, path := range paths {
		text := readFile(t, path)
		if _, err := ParseFile(path, []byte(text)); err != nil {
			t.Error(err)
		}
		if err := validate(t, text); err != nil {
			t.Errorf("%s: the schema says: %v", path, err)
		}
		if first, _, _ := strings.Cut(text, "\n"); first != "# yaml-language-server: $schema=config.schema.json" {
			t.Errorf("%s does not name the schema for editors in its first line", path)
		}
		for line := range strings.SplitSeq(text, "\n") {
			key, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "- "), ":")
			used[key] = true
		}
	}
	for _, k := range []keySpec{keyName, keyHoldTime, keyWhenHeld, keyLogLevel, keyLogFormat, keyTargets, keyForwards, keyForward, keyForwardHeld} {
		if !used[k.name] {
			t.Errorf("no example has the key %s", k.name)
		}
	}
}

// TestSchemaAgrees checks that the schema and the loader are of one mind.
func TestSchemaAgrees(t *testing.T) {
	for text, good := range map[string]bool{
		goodFile:                          true,
		"name: 42\n":                      true,
		"hold_time: 1h2m3.5s\n":           true,
		"targets: {a: 1}\n":               true,
		"forwards: {a: web, b: [8080]}\n": true,
		"forwards: {a: {forward: web}}\n": true,

		"nmae: x\n":                              false,
		"name: 'a b'\n":                          false,
		"name: [a]\n":                            false,
		"hold_time: soon\n":                      false,
		"hold_time: 10\n":                        false,
		"when_held: never\n":                     false,
		"log_level: loud\n":                      false,
		"log_format: xml\n":                      false,
		"targets: [a]\n":                         false,
		"targets: {a: ''}\n":                     false,
		"targets: {a: {b: 1}}\n":                 false,
		"targets: {a: }\n":                       false,
		"forwards: web\n":                        false,
		"forwards: {a: [[web]]}\n":               false,
		"forwards: {a: {when_held: wait}}\n":     false,
		"forwards: {a: {forward: w, port: 1}}\n": false,
		"- a\n":                                  false,
		"text\n":                                 false,
	} {
		_, loader := ParseFile("c.yaml", []byte(text))
		schema := validate(t, text)
		if (loader == nil) != good || (schema == nil) != good {
			t.Errorf("%q: loader %v, schema %v; want both to take it: %v", text, loader, schema, good)
		}
	}
}

// validate checks a file by the schema as an editor does: only the words that Schema uses.
func validate(t *testing.T, text string) error {
	t.Helper()
	var root map[string]any
	dec := json.NewDecoder(bytes.NewReader(Schema()))
	if err := dec.Decode(&root); err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return (&validator{t, root}).check(root, value, "")
}

type validator struct {
	t    *testing.T
	root map[string]any
}

func (v *validator) check(schema map[string]any, value any, at string) error {
	for word, arg := range schema {
		if err := v.word(schema, word, arg, value, at); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) word(schema map[string]any, word string, arg, value any, at string) error {
	text, isText := value.(string)
	object, isObject := value.(map[string]any)
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%s: "+format, append([]any{at}, args...)...)
	}
	switch word {
	case "$schema", "title", "description", "$defs":
	case "$ref":
		name := strings.TrimPrefix(arg.(string), "#/$defs/")
		return v.check(v.root["$defs"].(map[string]any)[name].(map[string]any), value, at)
	case "type":
		types, several := arg.([]any)
		if !several {
			types = []any{arg}
		}
		if !slices.Contains(types, any(typeOf(value))) {
			return wrong("%s, want %v", typeOf(value), types)
		}
	case "enum":
		if !slices.Contains(arg.([]any), value) {
			return wrong("%v is not one of %v", value, arg)
		}
	case "pattern":
		if isText && !regexp.MustCompile(arg.(string)).MatchString(text) {
			return wrong("%q does not match", text)
		}
	case "minLength":
		if isText && float64(len(text)) < arg.(float64) {
			return wrong("%q is too short", text)
		}
	case "items":
		list, _ := value.([]any)
		for i, item := range list {
			if err := v.check(arg.(map[string]any), item, fmt.Sprintf("%s/%d", at, i)); err != nil {
				return err
			}
		}
	case "anyOf":
		var errs []error
		for _, s := range arg.([]any) {
			err := v.check(s.(map[string]any), value, at)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return wrong("none fits: %v", errs)
	case "propertyNames":
		for name := range object {
			if err := v.check(arg.(map[string]any), name, at+"/"+name); err != nil {
				return err
			}
		}
	case "required":
		for _, name := range arg.([]any) {
			if _, ok := object[name.(string)]; isObject && !ok {
				return wrong("%s is missing", name)
			}
		}
	case "properties":
		for name, s := range arg.(map[string]any) {
			if item, ok := object[name]; ok {
				if err := v.check(s.(map[string]any), item, at+"/"+name); err != nil {
					return err
				}
			}
		}
	case "additionalProperties":
		known, _ := schema["properties"].(map[string]any)
		for name, item := range object {
			if _, ok := known[name]; ok {
				continue
			}
			rest, ok := arg.(map[string]any)
			if !ok {
				return wrong("%s is not allowed", name)
			}
			if err := v.check(rest, item, at+"/"+name); err != nil {
				return err
			}
		}
	default:
		v.t.Fatalf("the test does not know the schema's word %q", word)
	}
	return nil
}

// typeOf is the value's type in words of JSON Schema.
func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case uint64, int64, int:
		return "integer"
	case map[string]any:
		return "object"
	case []any:
		return "array"
	default:
		return fmt.Sprintf("%T", value)
	}
}

// A check sees what was understood, and its mistakes stand among the others.
func TestParseFileChecks(t *testing.T) {
	check := func(f *File) FileErrors {
		var es FileErrors
		for _, t := range f.Targets {
			es = append(es, f.Problem(t.Address, fmt.Errorf("address %s", t.Address.Text)))
		}
		return es
	}
	_, err := ParseFile("c.yaml", []byte("nmae: x\ntargets:\n  a: 1\n  b: []\nwhen_held: no\n"), check)
	var lines []string
	for line := range strings.Lines(fmt.Sprint(err)) {
		lines = append(lines, line[:min(len(line), len("c.yaml:1:1"))])
	}
	if got := strings.Join(lines, " "); got != "c.yaml:1:1 c.yaml:3:6 c.yaml:4:6 c.yaml:5:1" {
		t.Errorf("mistakes at %s:\n%v", got, err)
	}
	called := false
	_, err = ParseFile("c.yaml", []byte("a: 'b\n"), func(*File) FileErrors { called = true; return nil })
	if err == nil || called {
		t.Errorf("not YAML: %v, check called: %v", err, called)
	}
}
