package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// bomSchema is the schema of CycloneDX 1.6, from the library that writes it.
func bomSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	const base = "http://cyclonedx.org/schema/"
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	for url, file := range map[string]string{"bom-1.6.schema.json": "bom-1.6.schema.json", "spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(base+url, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile(base + "bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// The bills of materials are as the schema wants them.
func TestBOMSchema(t *testing.T) {
	r := theRelease(t)
	schema := bomSchema(t)
	for _, platform := range testPlatforms {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.built[platform].bom))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", platform, err)
		}
	}
	broken := bytes.Replace(r.built[testPlatforms[0]].bom, []byte(`"type": "library"`), []byte(`"type": "book"`), 1)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(broken))
	if err != nil {
		t.Fatal(err)
	}
	if schema.Validate(doc) == nil {
		t.Error("the schema accepts anything")
	}
}

// A bill of materials names every module that is in the program and no other, and its edges
// lead to modules that it names.
func TestBOMComponents(t *testing.T) {
	r := theRelease(t)
	sum, err := r.build(filepath.Join(t.TempDir(), "again"), "linux", runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(sum)
	if err != nil {
		t.Fatal(err)
	}
	b := cyclonedx.BOM{}
	if err := json.Unmarshal(r.built["linux/"+runtime.GOARCH].bom, &b); err != nil {
		t.Fatal(err)
	}
	if got := (*b.Metadata.Component.Hashes)[0].Value; got != fileSum(t, sum) {
		t.Errorf("it is about the program %s, not %s", got, fileSum(t, sum))
	}
	refs, versions := map[string]bool{b.Metadata.Component.BOMRef: true}, map[string]string{}
	for _, c := range *b.Components {
		refs[c.BOMRef], versions[c.Name] = true, c.Version
	}
	if got, want := versions[stdModule], strings.TrimPrefix(runtime.Version(), "go"); got != want {
		t.Errorf("standard library %q, want %q", got, want)
	}
	for _, m := range info.Deps {
		if versions[m.Path] != m.Version {
			t.Errorf("%s: %q, want %q", m.Path, versions[m.Path], m.Version)
		}
	}
	if len(versions) != len(info.Deps)+1 {
		t.Errorf("%d components of %d modules", len(versions), len(info.Deps))
	}
	edges := 0
	for _, d := range *b.Dependencies {
		on := []string{d.Ref}
		if d.Dependencies != nil {
			on = append(on, *d.Dependencies...)
		}
		for _, ref := range on {
			edges++
			if !refs[ref] {
				t.Errorf("%s depends on %s, which is not named", d.Ref, ref)
			}
		}
	}
	if edges < 2*len(info.Deps) || len(*b.Dependencies) != len(refs) {
		t.Errorf("%d edges from %d of %d", edges, len(*b.Dependencies), len(refs))
	}
	for _, m := range info.Deps {
		if !bytes.Contains(r.built["linux/"+runtime.GOARCH].licences, []byte("\n"+m.Path+": ")) {
			t.Errorf("no licence of %s", m.Path)
		}
	}
}
