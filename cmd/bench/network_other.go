//go:build !linux

package main

import (
	"context"
	"errors"
)

func networkMissing() string { return "they are Linux's" }

func networkSite(context.Context, string) (*site, func(conditions) error, error) {
	return nil, nil, errors.New("no network namespaces on this platform")
}
