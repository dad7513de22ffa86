package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// parseDockerfile reads what the last stage of a Dockerfile says about the container. What
// it copies is the image's business; an instruction that is not known here is an error.
func parseDockerfile(text []byte) (*v1.Config, error) {
	var c *v1.Config
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		var err error
		switch {
		case word == "" || strings.HasPrefix(word, "#"):
		case word == "FROM":
			if c = nil; rest == "scratch" {
				c = &v1.Config{WorkingDir: "/"}
			}
		case c == nil: // another stage's
		default:
			err = instruction(c, word, rest)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", word, err)
		}
	}
	if c == nil {
		return nil, errors.New("the last stage is not FROM scratch")
	}
	return c, nil
}

// instruction applies one line.
func instruction(c *v1.Config, word, rest string) (err error) {
	switch word {
	case "COPY":
	case "USER":
		c.User = rest
	case "ENV":
		c.Env = append(c.Env, strings.Fields(rest)...)
	case "VOLUME":
		c.Volumes = map[string]struct{}{rest: {}}
	case "EXPOSE":
		c.ExposedPorts = map[string]struct{}{rest: {}}
	case "ENTRYPOINT":
		c.Entrypoint, err = unmarshalWords(rest)
	case "CMD":
		c.Cmd, err = unmarshalWords(rest)
	case "HEALTHCHECK":
		c.Healthcheck, err = healthcheck(rest)
	default:
		err = errors.New("unknown")
	}
	return err
}

// healthcheck reads --interval=30s … CMD ["program"].
func healthcheck(text string) (*v1.HealthConfig, error) {
	flags, words, ok := strings.Cut(text, "CMD ")
	if !ok {
		return nil, errors.New("no CMD")
	}
	h := &v1.HealthConfig{}
	for flag := range strings.FieldsSeq(flags) {
		name, value, _ := strings.Cut(flag, "=")
		d, err := time.ParseDuration(value)
		if err != nil {
			return nil, err
		}
		switch name {
		case "--interval":
			h.Interval = d
		case "--timeout":
			h.Timeout = d
		case "--start-period":
			h.StartPeriod = d
		default:
			return nil, fmt.Errorf("unknown flag %s", name)
		}
	}
	test, err := unmarshalWords(words)
	h.Test = append([]string{"CMD"}, test...)
	return h, err
}
