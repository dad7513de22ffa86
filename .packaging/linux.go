package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/apk"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// linuxPackage makes a deb, rpm or apk and returns its name. Nothing is started at
// install: there is no configuration yet.
func (r *release) linuxPackage(p *program, arch, format string) (string, error) {
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "culvert", Arch: arch, Platform: "linux", Version: r.version, VersionSchema: "none",
		Section: "net", Priority: "optional", License: "Apache-2.0",
		Maintainer:  "The culvert authors <maintainers@culvert.invalid>",
		Description: "Reach ports of a machine behind NAT through a relay that can read nothing\nOne program is client, daemon and relay; what they carry is end-to-end encrypted.",
		MTime:       r.commit.time, DisableGlobbing: true,
		Overridables: nfpm.Overridables{Contents: r.contents(p, format), RPM: nfpm.RPM{BuildHost: "culvert"}},
	})
	if format == "apk" {
		// apk compares other versions than the others: no ~, but a suffix.
		info.Version = apkVersion(r.version)
		info.Description, _, _ = strings.Cut(info.Description, "\n") // it has one line
	} else {
		scripts := filepath.Join(r.root, ".packaging/scripts")
		info.Scripts = nfpm.Scripts{
			PostInstall: filepath.Join(scripts, "postinstall.sh"),
			PreRemove:   filepath.Join(scripts, "preremove.sh"),
			PostRemove:  filepath.Join(scripts, "postremove.sh"),
		}
	}
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return "", err
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	name := packager.ConventionalFileName(info)
	f, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return "", err
	}
	if err := packager.Package(info, f); err != nil {
		f.Close()
		return "", err
	}
	return name, f.Close()
}

// contents are the files of a package.
func (r *release) contents(p *program, format string) files.Contents {
	all := files.Contents{{Source: p.bin, Destination: "/usr/bin/culvert", FileInfo: &files.ContentFileInfo{Mode: 0o755, MTime: r.commit.time}}}
	for _, f := range append(slices.Clone(r.texts), p.files()...) {
		if f.inPackage == "" || f.systemd && format == "apk" {
			continue
		}
		all = append(all, &files.Content{Source: f.source, Destination: f.inPackage, FileInfo: &files.ContentFileInfo{Mode: 0o644, MTime: r.commit.time}})
	}
	return all
}
