package main

import "context"

// figure is a group of measurements that --only can name.
type figure struct {
	name string
	// cannot says why it cannot be measured on this platform; nil: it can.
	cannot func() string
	run    func(w *world, ctx context.Context, r *report) error
}

func allFigures() []figure {
	return []figure{
		{"throughput", nil, (*world).throughput},
		{"latency", nil, (*world).latency},
		{"conns", nil, (*world).connections},
		{"memory", needUsage, (*world).memory},
		{"path", nil, (*world).path},
		{"loss", needNetwork, (*world).loss},
		{"blackout", needNetwork, (*world).blackout},
		{"start", nil, (*world).startUp},
		{"size", nil, (*world).size},
	}
}

func figureNames() []string {
	var names []string
	for _, f := range allFigures() {
		names = append(names, f.name)
	}
	return names
}

func (f figure) impossible() string {
	if f.cannot == nil {
		return ""
	}
	return f.cannot()
}

func needUsage() string {
	if !usageKnown {
		return "the memory of processes cannot be read on this platform"
	}
	return ""
}

func needNetwork() string {
	if why := networkMissing(); why != "" {
		return "it needs network namespaces: " + why
	}
	return ""
}
