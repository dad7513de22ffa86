package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSplitLine(t *testing.T) {
	tests := []struct {
		in   string
		want []string
		cols []int
	}{
		{"", nil, nil},
		{"a b", []string{"a", "b"}, []int{1, 3}},
		{"  a\t b \r", []string{"a", "b"}, []int{3, 6}},
		{`a ca="/x y/z" b`, []string{"a", "ca=/x y/z", "b"}, []int{1, 3, 15}},
		{`ca="\u00e4\"\\"`, []string{`ca=ä"\`}, []int{1}},
		{`ca=""`, []string{"ca="}, []int{1}},
		{`"quoted word"`, []string{"quoted word"}, []int{1}},
	}
	for _, tt := range tests {
		got, err := splitLine(tt.in)
		if err != nil {
			t.Errorf("splitLine(%q): %v", tt.in, err)
			continue
		}
		var texts []string
		var cols []int
		for _, w := range got {
			texts, cols = append(texts, w.text), append(cols, w.col)
		}
		if !slices.Equal(texts, tt.want) || !slices.Equal(cols, tt.cols) {
			t.Errorf("splitLine(%q) = %q at %v, want %q at %v", tt.in, texts, cols, tt.want, tt.cols)
		}
	}
	for in, want := range map[string]string{
		`a="open`:                      "not closed",
		`a="x"y`:                       "white space",
		`a"b"`:                         "only begin a value",
		`a="\q"`:                       "wrong escape",
		"a=\"\\xff\"":                  "wrong escape",
		"\xff":                         "UTF-8",
		strings.Repeat("x", maxLine+1): "longer than",
	} {
		if _, err := splitLine(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("splitLine(%.20q) = %v, want %q", in, err, want)
		}
	}
}

func TestAppendAttrRoundTrip(t *testing.T) {
	for _, v := range []string{"", "plain", "with space", `q"uote`, "tab\t", "ä", "=,;", "\x7f", "new\nline"} {
		words, err := splitLine(string(appendAttr([]byte("x"), "k", v)))
		if err != nil || len(words) != 2 || words[1].text != "k="+v {
			t.Errorf("round trip of %q: %v, %v", v, words, err)
		}
	}
}

func TestAttrs(t *testing.T) {
	parse := func(s string) (map[string]word, error) {
		ws, err := splitLine(s)
		if err != nil {
			t.Fatal(err)
		}
		return attrs(ws, "targets", "expires")
	}
	as, err := parse("x=1"[:0] + "targets=a=b expires=")
	if err != nil || as["targets"].text != "a=b" || as["targets"].col != 9 {
		t.Errorf("attrs = %v, %v", as, err)
	}
	for in, want := range map[string]string{
		"target=a":            `did you mean "targets"?`,
		"color=a":             "the keys are targets, expires",
		"targets":             "expected key=value",
		"targets=a targets=b": "stands twice",
	} {
		_, err := parse(in)
		var p *lineProblem
		if !errors.As(err, &p) || !strings.Contains(p.msg, want) || p.col == 0 {
			t.Errorf("attrs(%q) = %v, want %q with a column", in, err, want)
		}
	}
}

func TestLinesRoundTrip(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "",
		"a\n":               "a\n",
		"a":                 "a\n",
		"\xef\xbb\xbfa\n":   "a\n",
		"a\n\n\nb\n":        "a\n\n\nb\n",
		"# c\r\na\r\nb\r\n": "# c\r\na\r\nb\r\n",
	} {
		if got := string(joinLines(lines([]byte(in)))); got != want {
			t.Errorf("lines of %q written again = %q, want %q", in, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"name", "targets", "forwards", "hold_time", "wait", "refuse"}
	for in, want := range map[string]string{
		"nmae": "name", "Targets": "targets", "tragets": "targets", "forward": "forwards", "holdtime": "hold_time",
		"colour": "", "x": "", "": "", "wit": "wait", strings.Repeat("n", 9999): "",
	} {
		if got := nearest(in, words); got != want {
			t.Errorf("nearest(%.20q) = %q, want %q", in, got, want)
		}
	}
}
