package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

const (
	wingetID     = "Culvert.Culvert"
	wingetSchema = "1.10.0"
)

// winget writes the three files that winget knows a package by, for the archives that are
// for Windows.
func (r *release) winget() ([]string, error) {
	var installers []yaml.MapSlice
	for _, arch := range [][2]string{{"amd64", "x64"}, {"arm64", "arm64"}} {
		a, ok := r.archives["windows/"+arch[0]]
		if !ok {
			continue
		}
		installers = append(installers, yaml.MapSlice{
			{Key: "Architecture", Value: arch[1]},
			{Key: "NestedInstallerFiles", Value: []yaml.MapSlice{{
				{Key: "RelativeFilePath", Value: a.base + `\culvert.exe`},
				{Key: "PortableCommandAlias", Value: "culvert"},
			}}},
			{Key: "InstallerUrl", Value: r.archiveURL("windows/" + arch[0])},
			{Key: "InstallerSha256", Value: strings.ToUpper(a.sum)},
		})
	}
	if installers == nil {
		return nil, nil
	}
	files := []struct {
		name, kind string
		fields     yaml.MapSlice
	}{
		{".yaml", "version", yaml.MapSlice{{Key: "DefaultLocale", Value: "en-US"}}},
		{".installer.yaml", "installer", yaml.MapSlice{
			{Key: "InstallerType", Value: "zip"}, {Key: "NestedInstallerType", Value: "portable"},
			{Key: "Commands", Value: []string{"culvert"}},
			{Key: "ReleaseDate", Value: r.commit.time.Format(time.DateOnly)},
			{Key: "Installers", Value: installers},
		}},
		{".locale.en-US.yaml", "defaultLocale", yaml.MapSlice{
			{Key: "PackageLocale", Value: "en-US"}, {Key: "Publisher", Value: "The culvert authors"}, {Key: "PackageName", Value: "culvert"},
			{Key: "License", Value: "Apache-2.0"}, {Key: "ShortDescription", Value: "Reach ports of a machine behind NAT through a relay that can read nothing"},
			{Key: "Moniker", Value: "culvert"}, {Key: "Tags", Value: []string{"cli", "networking", "tunnel"}},
		}},
	}
	var made []string
	for _, f := range files {
		all := yaml.MapSlice{{Key: "PackageIdentifier", Value: wingetID}, {Key: "PackageVersion", Value: fileVersion(r.version)}}
		all = append(append(all, f.fields...), yaml.MapItem{Key: "ManifestType", Value: f.kind}, yaml.MapItem{Key: "ManifestVersion", Value: wingetSchema})
		text, err := yaml.Marshal(all)
		if err != nil {
			return nil, err
		}
		name := wingetID + f.name
		if err := os.WriteFile(filepath.Join(r.out, name), text, 0o644); err != nil {
			return nil, err
		}
		made = append(made, name)
	}
	return made, nil
}
