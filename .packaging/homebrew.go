package main

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed homebrew.rb.tmpl
var formula string

// homebrew writes the formula, for the archives that Homebrew can use.
func (r *release) homebrew() ([]string, error) {
	t := template.New("culvert.rb").Funcs(template.FuncMap{
		"has": func(platform string) bool { return r.archives[platform].name != "" },
		"any": func(goos string) bool {
			return r.archives[goos+"/amd64"].name != "" || r.archives[goos+"/arm64"].name != ""
		},
		"url":    r.archiveURL,
		"system": func() map[string]string { return map[string]string{"darwin": "macos", "linux": "linux"} },
		"sum":    func(platform string) string { return r.archives[platform].sum },
	})
	if _, err := t.Parse(formula); err != nil {
		return nil, err
	}
	if r.archives["darwin/amd64"].name == "" && r.archives["darwin/arm64"].name == "" {
		return nil, nil
	}
	var b strings.Builder
	if err := t.Execute(&b, map[string]string{"Version": fileVersion(r.version)}); err != nil {
		return nil, err
	}
	const name = "culvert.rb"
	return []string{name}, os.WriteFile(filepath.Join(r.out, name), []byte(b.String()), 0o644)
}

// archiveURL is where the archive of a platform will be.
func (r *release) archiveURL(platform string) string {
	return strings.ReplaceAll(r.url, "%s", fileVersion(r.version)) + "/" + r.archives[platform].name
}
