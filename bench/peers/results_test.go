package main

import "testing"

func TestSectionIsReplacedAndTheOthersStay(t *testing.T) {
	for _, tt := range []struct{ name, document, want string }{
		{"no file", "", intro + "\n## flat\n\nnew\n"},
		{"no such section", "# R\n\n## peers\n\nold\n", "# R\n\n## peers\n\nold\n\n## flat\n\nnew\n"},
		{"the last section", "# R\n\n## peers\n\nold\n\n## flat\n\nold\n", "# R\n\n## peers\n\nold\n\n## flat\n\nnew\n"},
		{"one in the middle", "# R\n\n## flat\n\nold\n\n## writes\n\nold\n", "# R\n\n## flat\n\nnew\n\n## writes\n\nold\n"},
	} {
		if got := replaceSection(tt.document, "flat", "new\n"); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}
