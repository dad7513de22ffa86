package sbrptest

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
)

// BadToken is a client's token that breaks one rule of section 7.
type BadToken struct {
	Name  string
	Rule  string // its number
	Spoil func(f *Forged)
}

func set(claim string, v any) func(*Forged) { return func(f *Forged) { f.Claims[claim] = v } }
func drop(claim string) func(*Forged)       { return func(f *Forged) { delete(f.Claims, claim) } }
func head(name string, v any) func(*Forged) { return func(f *Forged) { f.Header[name] = v } }
func text(c func(string) string) func(*Forged) {
	return func(f *Forged) { f.After = append(f.After, c) }
}

// BadTokens has some for each rule.
var BadTokens = []BadToken{
	{"too long", "7.4", text(func(s string) string { return s + strings.Repeat("A", 4097-len(s)) })},
	{"two parts", "7.4", text(func(s string) string { return s[:strings.LastIndex(s, ".")] })},
	{"four parts", "7.4", text(func(s string) string { return s + ".x" })},
	{"line break", "7.4", text(func(s string) string { return s + "\n" })},
	{"header with padding", "7.4", text(func(s string) string { return "e30=" + s[strings.Index(s, "."):] })},
	{"header no JSON", "7.4", text(func(s string) string { return "eHh4" + s[strings.Index(s, "."):] })},
	{"header null", "7.4", text(func(s string) string { return "bnVsbA" + s[strings.Index(s, "."):] })},
	{"crit", "7.4", head("crit", []string{"exp"})},
	{"typ missing", "7.5", func(f *Forged) { delete(f.Header, "typ") }},
	{"typ JWT", "7.5", head("typ", "JWT")},
	{"typ of device token", "7.5", head("typ", "culvert-device+jwt")},
	{"typ in capitals", "7.5", head("typ", "SBRP-RELAY+JWT")},
	{"typ no string", "7.5", head("typ", 1)},
	{"kid missing", "7.6", func(f *Forged) { delete(f.Header, "kid") }},
	{"kid empty", "7.6", head("kid", "")},
	{"kid no string", "7.6", head("kid", 7)},
	{"kid unknown", "7.7", head("kid", "k2")},
	{"alg missing", "7.7", func(f *Forged) { delete(f.Header, "alg") }},
	{"alg none", "7.7", head("alg", "none")},
	{"alg RS256", "7.7", head("alg", "RS256")},
	{"other key", "7.7", func(f *Forged) { f.Key = ed25519.NewKeyFromSeed(make([]byte, 32)) }},
	{"signature no base64", "7.7", text(func(s string) string { return s[:len(s)-1] + "*" })},
	{"no signature", "7.7", text(func(s string) string { return s[:strings.LastIndex(s, ".")+1] })},
	{"signature cut", "7.7", text(func(s string) string { return s[:len(s)-4] })},
	{"claims changed", "7.7", text(func(s string) string {
		p := strings.Split(s, ".")
		return p[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"role":"daemon"}`)) + "." + p[2]
	})},
	{"aud missing", "7.8", drop("aud")},
	{"aud other", "7.8", set("aud", "sideband-control")},
	{"aud array without", "7.8", set("aud", []string{"a", "b"})},
	{"aud array of mixed", "7.8", set("aud", []any{"sideband-relay", 1})},
	{"aud array with null", "7.8", set("aud", []any{"sideband-relay", nil})},
	{"aud null", "7.8", set("aud", nil)},
	{"aud by another case only", "7.8", func(f *Forged) { delete(f.Claims, "aud"); f.Claims["AUD"] = "sideband-relay" }},
	{"iss missing", "7.9", drop("iss")},
	{"iss other", "7.9", set("iss", TokenIssuer+"/")},
	{"iss no string", "7.9", set("iss", []string{TokenIssuer})},
	{"iat missing", "7.10", drop("iat")},
	{"iat text", "7.10", set("iat", "1700000000")},
	{"iat null", "7.10", set("iat", nil)},
	{"exp missing", "7.10", drop("exp")},
	{"exp text", "7.10", set("exp", "1700000000")},
	{"exp negative", "7.10", set("exp", -1)},
	{"exp beyond all dates", "7.10", set("exp", 1e300)},
	{"exp past", "7.11", func(f *Forged) { f.Set("iat", TokenNow.Unix()-90); f.Set("exp", TokenNow.Unix()-30) }},
	{"ver 2", "7.12", set("ver", 2)},
	{"ver text", "7.12", set("ver", "1")},
	{"ver null", "7.12", set("ver", nil)},
	{"ver fraction", "7.12", set("ver", 1.5)},
	{"role missing", "7.13", drop("role")},
	{"role relay", "7.13", set("role", "relay")},
	{"role in capitals", "7.13", set("role", "Client")},
	{"did missing", "7.14", drop("did")},
	{"did empty", "7.14", set("did", "")},
	{"did no string", "7.14", set("did", 5)},
	{"sub missing", "7.15", drop("sub")},
	{"sub empty", "7.15", set("sub", "")},
	{"sub no string", "7.15", set("sub", true)},
	{"sid missing", "7.16", drop("sid")},
	{"sid zero", "7.16", set("sid", "AAAAAAAAAAA")},
	{"sid short", "7.16", set("sid", "AQIDBAUGBw")},
	{"sid with padding", "7.16", set("sid", "AQIDBAUGBwg=")},
	{"sid number", "7.16", set("sid", 72623859790382856)},
	{"region other", "7.17", set("region", "us")},
	{"region empty", "7.17", set("region", "")},
	{"region null", "7.17", set("region", nil)},
	{"lifetime 301 s", "7.18", func(f *Forged) { f.Set("exp", TokenNow.Unix()+301) }},
	{"lifetime by early iat", "7.18", func(f *Forged) { f.Set("iat", TokenNow.Unix()-299) }},
	{"lifetime none", "7.18", func(f *Forged) { f.Set("iat", TokenNow.Unix()+120) }},
	{"lifetime backwards", "7.18", func(f *Forged) { f.Set("iat", TokenNow.Unix()+600) }},
	{"scp missing", "7.19", drop("scp")},
	{"scp text", "7.19", set("scp", "session:create")},
	{"scp null", "7.19", set("scp", nil)},
	{"scp mixed", "7.19", set("scp", []any{"session:create", 1})},
	{"scp empty", "7.19", set("scp", []string{})},
	{"scp without create", "7.19", set("scp", []string{"session:resume", "session:create:all"})},
	{"lim text", "7.20", set("lim", "3")},
	{"lim null", "7.20", set("lim", nil)},
	{"lim zero", "7.20", set("lim", map[string]any{"concurrent_sessions": 0})},
	{"lim negative", "7.20", set("lim", map[string]any{"concurrent_sessions": -1})},
	{"lim fraction", "7.20", set("lim", map[string]any{"concurrent_sessions": 1.5})},
	{"lim huge", "7.20", set("lim", map[string]any{"concurrent_sessions": 1e18})},
	{"lim null inside", "7.20", set("lim", map[string]any{"concurrent_sessions": nil})},
}
