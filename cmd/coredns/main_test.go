package main

import (
	"runtime/debug"
	"testing"
)

func TestCommit(t *testing.T) {
	const revision = "0123456789abcdef0123456789abcdef01234567"
	for _, tt := range []struct {
		name     string
		settings []debug.BuildSetting
		want     string
	}{
		{"built outside of git", nil, "unknown"},
		{"built from a clean checkout", []debug.BuildSetting{
			{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: "false"},
		}, "0123456789ab"},
		{"built from a checkout with changes", []debug.BuildSetting{
			{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: "true"},
		}, "0123456789ab-dirty"},
	} {
		if got := commit(&debug.BuildInfo{Settings: tt.settings}); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
