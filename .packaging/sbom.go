package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// bom is the bill of materials of a program, in CycloneDX: what the Go linker has written
// into it, with who imports whom. Equal programs have equal ones.
func (r *release) bom(bin string, g *graph) ([]byte, error) {
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		return nil, fmt.Errorf("read what %s was built from: %w", bin, err)
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(program)
	b := cyclonedx.NewBOM()
	b.SerialNumber = uuid.NewSHA1(uuid.NameSpaceOID, sum[:]).URN()
	main := r.bomProgram(info, filepath.Base(bin), hex.EncodeToString(sum[:]))
	b.Metadata = &cyclonedx.Metadata{
		Timestamp:  r.commit.time.UTC().Format(time.RFC3339),
		Lifecycles: &[]cyclonedx.Lifecycle{{Phase: cyclonedx.LifecyclePhaseBuild}},
		Component:  &main,
	}
	refs := map[string]string{info.Main.Path: main.BOMRef}
	components := []cyclonedx.Component{bomModule(&debug.Module{Path: stdModule, Version: strings.TrimPrefix(info.GoVersion, "go")})}
	for _, m := range info.Deps {
		if m.Replace != nil {
			return nil, fmt.Errorf("%s is replaced: a release has what its go.mod says", m.Path)
		}
		components = append(components, bomModule(m))
	}
	for _, c := range components {
		refs[c.Name] = c.BOMRef
	}
	b.Components = &components
	b.Dependencies = g.dependencies(refs)
	b.Compositions = &[]cyclonedx.Composition{{
		Aggregate:    cyclonedx.CompositionAggregateComplete,
		Dependencies: &[]cyclonedx.BOMReference{cyclonedx.BOMReference(main.BOMRef)},
	}}
	var out bytes.Buffer
	enc := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := enc.EncodeVersion(b, cyclonedx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("write the bill of materials: %w", err)
	}
	return out.Bytes(), nil
}

// bomProgram is the program itself, with how it was built.
func (r *release) bomProgram(info *debug.BuildInfo, name, sum string) cyclonedx.Component {
	purl := "pkg:generic/culvert@" + strings.ReplaceAll(r.version, "~", "%7E") + "?checksum=sha256:" + sum
	properties := []cyclonedx.Property{{Name: "culvert:go:version", Value: info.GoVersion}, {Name: "culvert:file", Value: name}}
	for _, s := range info.Settings {
		properties = append(properties, cyclonedx.Property{Name: "culvert:go:build:" + s.Key, Value: s.Value})
	}
	return cyclonedx.Component{
		BOMRef: purl, Type: cyclonedx.ComponentTypeApplication, Name: "culvert", Version: r.version, PackageURL: purl,
		Hashes:     &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: sum}},
		Licenses:   &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
		Properties: &properties,
	}
}

// stdModule is what stands for the packages of the standard library.
const stdModule = "std"

// bomModule is a module that is in the program.
func bomModule(m *debug.Module) cyclonedx.Component {
	purl := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B") + "?type=module"
	c := cyclonedx.Component{BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: purl, Scope: cyclonedx.ScopeRequired}
	if m.Sum != "" {
		c.Properties = &[]cyclonedx.Property{{Name: "culvert:go:sum", Value: m.Sum}}
	}
	return c
}

// dependencies are the edges between modules that are in the program, by their references.
func (g *graph) dependencies(refs map[string]string) *[]cyclonedx.Dependency {
	var all []cyclonedx.Dependency
	for module, ref := range refs {
		var on []string
		for other := range g.edges[module] {
			if to, ok := refs[other]; ok && other != module {
				on = append(on, to)
			}
		}
		slices.Sort(on)
		all = append(all, cyclonedx.Dependency{Ref: ref, Dependencies: &on})
	}
	slices.SortFunc(all, func(a, b cyclonedx.Dependency) int { return strings.Compare(a.Ref, b.Ref) })
	return &all
}
