//go:build !linux

package main

import "time"

// usageKnown says that CPU and memory of processes cannot be read here: figures that need them
// are left out.
const usageKnown = false

func cpuOf(map[int]role) map[role]time.Duration        { return nil }
func machineCPU() time.Duration                        { return 0 }
func memoryOf(map[int]role) (now, peak map[role]int64) { return nil, nil }
func loadAverage() string                              { return "" }
func networkSetting(string) string                     { return "" }

func selfCPU() time.Duration { return 0 }

func kernelVersion() string { return "" }
