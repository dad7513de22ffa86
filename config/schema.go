package config

import (
	"bytes"
	"encoding/json"
)

// keySpec describes one key of the configuration file. The loader takes keys by
// this table and the schema is made from it, so that the two cannot differ.
type keySpec struct {
	name  string
	doc   string   // for people, in an editor
	words []string // the only values; nil: any
	value schema   // what else is known of the value
}

// check takes a value that is one of the key's words.
func (k keySpec) check(v Value) error { return oneOf(v, k.words...) }

// The keys of the file.
var (
	keyName = keySpec{name: "name",
		doc:   "What this machine is called as a daemon. Default: the name given at login, else the host name.",
		value: schema{Type: []string{"string", "integer"}, Pattern: namePattern}}
	keyHoldTime = keySpec{name: "hold_time",
		doc:   "How long connections are kept while the network is away, such as 90s, 10m or 1h30m; at most 24h. Default: 10m.",
		value: schema{Type: "string", Pattern: `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`}}
	keyWhenHeld = keySpec{name: "when_held",
		doc:   "How new local connections fare while a link is down. Default: wait.",
		words: []string{"wait", "refuse"}}
	keyLogLevel = keySpec{name: "log_level",
		doc:   "How much is logged, unless -v says otherwise. Default: warn.",
		words: []string{"debug", "info", "warn", "error"}}
	keyLogFormat = keySpec{name: "log_format",
		doc:   "The form of the log, unless --log-format says otherwise. Default: text.",
		words: []string{"text", "json"}}
	keyTargets = keySpec{name: "targets",
		doc: "What clients may reach once they are granted it: NAME: ADDRESS. An address is a port of this machine (3000), HOST:PORT, unix:/path/to.sock, or a network with a port (10.0.0.0/8:443).",
		value: schema{Type: "object",
			Names: &schema{Pattern: namePattern},
			Rest:  &schema{Type: []string{"string", "integer"}, MinLength: 1}}}
	keyForwards = keySpec{name: "forwards",
		doc: "Local addresses that lead to targets of daemons: DAEMON: and a list of [[BIND:]PORT:]TARGET, unix:/path/to.sock:TARGET or socks5:[BIND:]PORT.",
		value: schema{Type: "object",
			Rest: &schema{AnyOf: []*schema{{Ref: "#/$defs/forward"}, {Type: "array", Items: &schema{Ref: "#/$defs/forward"}}}}}}
)

// The keys of a forward that is written as a mapping.
var (
	keyForward = keySpec{name: "forward",
		doc:   "[[BIND:]PORT:]TARGET, unix:/path/to.sock:TARGET or socks5:[BIND:]PORT. Without a port it is the target's own, or any free one; 0 is any free one.",
		value: schema{Type: []string{"string", "integer"}}}
	keyForwardHeld = keySpec{name: "when_held",
		doc:   "How new local connections of this forward fare while the link is down. Default: the file's.",
		words: []string{"wait", "refuse"}}
)

// namePattern is CheckName; the names of targets follow the same rule.
const namePattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`

// schema is the part of JSON Schema (2020-12) that the file's form needs. A
// value that YAML would read as a number is a text here too: 3000 is a target.
type schema struct {
	Dialect     string             `json:"$schema,omitempty"`
	ID          string             `json:"$id,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Ref         string             `json:"$ref,omitempty"`
	Type        any                `json:"type,omitempty"` // a word or several
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	MinLength   int                `json:"minLength,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	AnyOf       []*schema          `json:"anyOf,omitempty"`
	Names       *schema            `json:"propertyNames,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Rest        any                `json:"additionalProperties,omitempty"` // false, or a schema
	Defs        map[string]*schema `json:"$defs,omitempty"`
}

// Schema is the JSON schema of the configuration file, for editors. It accepts
// what the loader accepts as far as a schema can tell: that a target or a
// forward is well-formed, and that none stands twice, is said by
// `culvert check`.
func Schema() []byte {
	top := mappingSchema(keyName, keyHoldTime, keyWhenHeld, keyLogLevel, keyLogFormat, keyTargets, keyForwards)
	top.Dialect = "https://json-schema.org/draft/2020-12/schema"
	top.Title = "culvert config.yaml"
	top.Description = "What `culvert up` runs: the targets that this machine exposes and its forwards to other daemons."
	forward := mappingSchema(keyForward, keyForwardHeld)
	forward.Required = []string{keyForward.name}
	top.Defs = map[string]*schema{
		"forward": {AnyOf: []*schema{{Type: []string{"string", "integer"}, Description: keyForward.doc}, forward}},
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(top); err != nil {
		panic("config: " + err.Error()) // a value of our own
	}
	return b.Bytes()
}

// mappingSchema is the schema of a mapping that has these keys only.
func mappingSchema(keys ...keySpec) *schema {
	s := &schema{Type: "object", Properties: make(map[string]*schema, len(keys)), Rest: false}
	for _, k := range keys {
		v := k.value
		v.Description, v.Enum = k.doc, k.words
		s.Properties[k.name] = &v
	}
	return s
}
