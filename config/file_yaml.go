package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The file is read from its syntax tree and not by reflection, so that every
// mistake is found at once and each has its line and column.

// field is one key of a mapping: its description, which is also the schema's,
// and what to do with its value.
type field struct {
	keySpec
	set func(key Value, node ast.Node)
}

// loader walks the tree and collects what is wrong.
type loader struct {
	file *File
	errs FileErrors
}

// load reads the whole file. schema.go has the table of its keys. It tells
// whether the file is YAML, so that what was understood of it can be used.
func (l *loader) load(data []byte) bool {
	f := l.file
	top := []field{
		{keyName, l.value(&f.Name, func(v Value) error { return CheckName(v.Text) })},
		{keyHoldTime, l.value(new(Value), func(v Value) (err error) { f.HoldTime, err = parseHoldTime(v); return err })},
		{keyWhenHeld, l.value(&f.WhenHeld, keyWhenHeld.check)},
		{keyLogLevel, l.value(&f.LogLevel, keyLogLevel.check)},
		{keyLogFormat, l.value(&f.LogFormat, keyLogFormat.check)},
		{keyTargets, l.targets},
		{keyForwards, l.forwards},
	}
	tree, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		l.syntax(err)
		return false
	}
	seen := false
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if seen {
			l.fail(doc.Body, "a second document: put everything into one")
			return true
		}
		seen = true
		if _, comment := doc.Body.(*ast.CommentGroupNode); comment {
			seen = false
			continue
		}
		l.mapping(doc.Body, "the file", top)
	}
	return true
}

// targets reads NAME: ADDRESS pairs.
func (l *loader) targets(_ Value, node ast.Node) {
	for _, p := range l.pairs(node, "targets", "write NAME: ADDRESS lines below it") {
		var t FileTarget
		t.Name = p.key
		l.value(&t.Address, func(v Value) error {
			if v.Text == "" {
				return errors.New("the address is empty")
			}
			return nil
		})(p.key, p.node)
		if t.Address.Given() {
			l.file.Targets = append(l.file.Targets, t)
		}
	}
}

// forwards reads DAEMON: [FORWARD, …] pairs; a forward is a text, or a mapping
// with the text under forward.
func (l *loader) forwards(_ Value, node ast.Node) {
	for _, p := range l.pairs(node, "forwards", "write DAEMON: and a list of forwards below it") {
		list, ok := p.node.(*ast.SequenceNode)
		if !ok {
			l.forward(p.key, p.node) // a single one needs no list
			continue
		}
		for _, item := range list.Values {
			l.forward(p.key, item)
		}
	}
}

func (l *loader) forward(daemon Value, node ast.Node) {
	f := FileForward{Daemon: daemon}
	if isMapping(node) {
		l.mapping(node, "a forward", []field{
			{keyForward, l.value(&f.Forward, nil)},
			{keyForwardHeld, l.value(&f.WhenHeld, keyForwardHeld.check)},
		})
		if !f.Forward.Given() {
			l.fail(node, "the key forward is missing, with [[BIND:]PORT:]TARGET")
		}
	} else {
		l.value(&f.Forward, nil)(daemon, node)
	}
	if f.Forward.Given() {
		l.file.Forwards = append(l.file.Forwards, f)
	}
}

// value returns a setter that takes one word, checks it and stores it.
func (l *loader) value(into *Value, check func(Value) error) func(Value, ast.Node) {
	return func(key Value, node ast.Node) {
		v, ok := scalar(node)
		if !ok {
			l.fail(node, fmt.Sprintf("%s must be one word (text, number), without anchors and tags; text with special characters stands in quotes", clip(key.Text)))
			return
		}
		if check != nil {
			if err := check(v); err != nil {
				l.fail(node, err.Error()) // printing
				return
			}
		}
		*into = v
	}
}

// mapping reads a mapping that has these keys only.
func (l *loader) mapping(node ast.Node, what string, fields []field) {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.name
	}
	for _, p := range l.pairs(node, what, "write KEY: VALUE lines, with the keys "+strings.Join(keys, ", ")) {
		i := slices.Index(keys, p.key.Text)
		if i >= 0 {
			fields[i].set(p.key, p.node)
			continue
		}
		if near := nearest(p.key.Text, keys); near != "" {
			l.failAt(p.key, fmt.Sprintf("unknown key %s: did you mean %q?", clip(p.key.Text), near))
		} else {
			l.failAt(p.key, fmt.Sprintf("unknown key %s: the keys of %s are %s; a newer culvert may have more", clip(p.key.Text), what, strings.Join(keys, ", ")))
		}
	}
}

// pair is one key of a mapping with its value.
type pair struct {
	key  Value
	node ast.Node
}

// pairs returns the pairs of a mapping. Keys that stand twice are mistakes.
func (l *loader) pairs(node ast.Node, what, want string) []pair {
	var nodes []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		nodes = n.Values
	case *ast.MappingValueNode:
		nodes = []*ast.MappingValueNode{n}
	default:
		l.fail(node, fmt.Sprintf("%s must be a mapping: %s", what, want))
		return nil
	}
	var out []pair
	first := make(map[string]Value, len(nodes))
	for _, n := range nodes {
		key, ok := scalar(n.Key)
		if !ok || key.Text == "" {
			l.fail(n.Key, "a key must be one word, without anchors and tags")
			continue
		}
		if was, twice := first[key.Text]; twice {
			l.failAt(key, fmt.Sprintf("key %s stands twice, first on line %d", clip(key.Text), was.Line))
			continue
		}
		first[key.Text] = key
		out = append(out, pair{key: key, node: n.Value})
	}
	return out
}

func isMapping(node ast.Node) bool {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	default:
		return false
	}
}

// scalar returns the text of a node that is one word. Numbers and booleans are
// taken as they are written: 0x10 is a text, not 16.
func scalar(node ast.Node) (Value, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return place(n.GetToken(), n.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		t := n.GetToken()
		return place(t, strings.TrimSpace(t.Value)), true
	default:
		return Value{}, false
	}
}

func place(t *token.Token, text string) Value {
	if t == nil || t.Position == nil {
		return Value{Text: text, Line: 1, Column: 1}
	}
	return Value{Text: text, Line: t.Position.Line, Column: t.Position.Column}
}

// syntax reports what the YAML parser does not understand.
func (l *loader) syntax(err error) {
	if ye, ok := errors.AsType[yaml.Error](err); ok {
		l.failAt(place(ye.GetToken(), ""), "not valid YAML: "+ye.GetMessage())
		return
	}
	l.failAt(Value{Line: 1, Column: 1}, "not valid YAML: "+err.Error()) // printing
}

func (l *loader) fail(node ast.Node, msg string) {
	if node == nil {
		l.failAt(Value{Line: 1, Column: 1}, msg)
		return
	}
	t := node.GetToken()
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
		t = m.Values[0].Key.GetToken() // a mapping's own token is a colon
	} else if m, ok := node.(*ast.MappingValueNode); ok {
		t = m.Key.GetToken()
	}
	l.failAt(place(t, ""), msg)
}

func (l *loader) failAt(v Value, msg string) {
	l.errs = append(l.errs, &LineError{File: l.file.Path, Line: v.Line, Column: v.Column, Msg: msg})
}
