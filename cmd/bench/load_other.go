//go:build !linux

package main

import (
	"math"
	"net"
)

// The load run refuses to run here, because usageKnown is false.

func kernelMemory() int64           { return 0 }
func fileLimit() int                { return math.MaxInt32 }
func sourceAddress(uint64) net.Addr { return nil }
func processor() string             { return "" }
