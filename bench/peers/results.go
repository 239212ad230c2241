package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// A section is what a mode found: tables with what has to be said about them.
type section []fmt.Stringer

func (s section) String() string {
	var parts []string
	for _, part := range s {
		parts = append(parts, part.String())
	}
	return strings.Join(parts, "\n")
}

// A paragraph is one.
type paragraph string

func (p paragraph) String() string { return string(p) + "\n" }

// intro is how the results begin.
const intro = `# Results

Measured by the commands below; each replaces its own section. The figures are those of one machine on
one day: only the ratios carry over.
`

// heading says of what machine and when the figures are.
func (b *bench) heading() string {
	return fmt.Sprintf("%s. %s, commit %s. `%s`: %d rounds, %g s each run, %s in all.\n\n",
		b.machine(), b.start.Format(time.DateOnly), b.commit, command(), b.rounds, b.seconds, time.Since(b.start).Round(time.Second))
}

// keep puts the text into the section of the file that belongs to the mode.
func keep(path, mode, text string) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(replaceSection(string(old), mode, text)), 0o644)
}

// replaceSection puts the text under a title, in place of what was there, or at the end.
func replaceSection(document, title, text string) string {
	if document == "" {
		document = intro
	}
	title = "\n## " + title + "\n"
	before, after, found := strings.Cut(document, title)
	if next := strings.Index(after, "\n## "); found && next >= 0 {
		after = after[next:]
	} else {
		after = ""
	}
	return before + title + "\n" + text + after
}
