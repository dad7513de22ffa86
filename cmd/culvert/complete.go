package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"culvert/config"
	"culvert/service"
	"culvert/tunnel"
)

const noFiles = cobra.ShellCompDirectiveNoFileComp

// completeDaemon offers the names of the pinned daemons for the first word.
func (a *app) completeDaemon(_ *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	user := ""
	if i := strings.LastIndexByte(prefix, '@'); i >= 0 { // ssh me@laptop
		user, prefix = prefix[:i+1], prefix[i+1:]
	}
	var names []string
	for _, name := range a.daemonNames() {
		if strings.HasPrefix(name, prefix) {
			names = append(names, user+name)
		}
	}
	return names, noFiles
}

// completeForward offers a daemon, and then its targets, with what stands before them:
// 8080:w becomes 8080:web. Behind a -- it is the turn of other programs' files.
func (a *app) completeForward(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	// Not ArgsLenAtDash: cobra puts a -- of its own behind the words when it completes.
	switch {
	case slices.Contains(a.words[:max(len(a.words)-1, 0)], "--"):
		return nil, cobra.ShellCompDirectiveDefault
	case len(args) == 0:
		return a.completeDaemon(cmd, args, prefix)
	}
	local := prefix[:strings.LastIndexByte(prefix, ':')+1]
	return a.targets(args[0], prefix, func(t service.TargetHint) string {
		if t.Kind == tunnel.NetworkCIDR {
			return local + t.Name + "/" // an address follows
		}
		return local + t.Name
	})
}

// completeStdio offers a daemon, and then one of its targets.
func (a *app) completeStdio(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, noFiles
	}
	return a.completeForward(cmd, args, prefix)
}

// completeHop offers DAEMON, and DAEMON/TARGET once there is a slash.
func (a *app) completeHop(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	daemon, _, slash := strings.Cut(prefix, "/")
	if !slash || len(args) > 0 {
		return a.completeDaemon(cmd, args, prefix)
	}
	return a.targets(daemon, prefix, func(t service.TargetHint) string {
		if t.Kind == tunnel.NetworkCIDR {
			return daemon + "/" + t.Name + "/"
		}
		return daemon + "/" + t.Name
	})
}

// targets offers the targets of a daemon as words that begin with prefix.
func (a *app) targets(daemon, prefix string, word func(service.TargetHint) string) ([]string, cobra.ShellCompDirective) {
	dir, err := config.StateDir(a.flags.stateDir)
	if err != nil {
		return nil, noFiles
	}
	directive := noFiles
	var words []string
	for _, t := range a.calls.knownTargets(service.Common{StateDir: dir}, daemon) {
		w := word(t)
		if !strings.HasPrefix(w, prefix) {
			continue
		}
		if strings.HasSuffix(w, "/") {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		words = append(words, w+"\t"+t.Kind)
	}
	return words, directive
}

// daemonNames are the pinned daemons'.
func (a *app) daemonNames() []string {
	dir, err := config.StateDir(a.flags.stateDir)
	if err != nil {
		return nil
	}
	all, _, err := a.calls.trustList(service.Common{StateDir: dir})
	if err != nil {
		return nil // a shell that asks for words is no place for errors
	}
	var names []string
	for _, k := range all {
		names = append(names, k.Name)
	}
	return names
}
