package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// screen redraws lines in place on a terminal's alternate screen, so that what was there
// before comes back when it is closed.
type screen struct{ out *printer }

func (s *screen) open()  { s.out.script("\x1b[?1049h\x1b[?25l") }
func (s *screen) close() { s.out.script("\x1b[?25h\x1b[?1049l") }

// draw shows the lines as far as the screen goes. Each line is written over the old one and
// its rest erased, which does not flicker.
func (s *screen) draw(lines []string, width, height int) {
	if height > 1 && len(lines) > height {
		more := len(lines) - height + 1
		lines = append(lines[:height-1:height-1], fmt.Sprintf("… %d more lines; make the terminal higher", more))
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(cut(printable(line), width))
		b.WriteString("\x1b[K")
	}
	b.WriteString("\x1b[J")
	s.out.script(b.String())
}

// cut shortens a line to so many characters.
func cut(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width-1]) + "…"
}

// lines writes lines of what was asked for.
func (p *printer) lines(lines []string) {
	for _, line := range lines {
		p.data("%s", line)
	}
}
