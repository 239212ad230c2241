package httpapi

import (
	"slices"
	"testing"
)

func TestListsAreWhatWasRead(t *testing.T) {
	var l last[int]
	long := make([]int, longestList+1)
	var before [][]int // what was returned, and must stay as it was
	for _, c := range []struct {
		what string
		read []int
	}{
		{"the first", []int{1, 2}},
		{"the same again", []int{1, 2}},
		{"a longer one", []int{1, 2, 3}},
		{"a shorter one", []int{1}},
		{"one as long, of others", []int{4}},
		{"an empty one", nil},
		{"one that was there before that", []int{4}},
		{"one that is too long to be kept", long},
		{"the same too long one", long},
		{"one after that", []int{5, 6}},
	} {
		got := l.of(append(l.begin(), c.read...))
		if !slices.Equal(got, c.read) || len(c.read) == 0 && got != nil {
			t.Errorf("%s: got %v, want %v", c.what, got, c.read)
		}
		before = append(before, slices.Clone(got), got)
		for n := 0; n < len(before); n += 2 {
			if !slices.Equal(before[n], before[n+1]) {
				t.Errorf("%s: an earlier list was %v and is %v", c.what, before[n], before[n+1])
			}
		}
	}
}

func TestAListThatIsReadAgainTakesNoMemory(t *testing.T) {
	var l last[string]
	read := func() { l.of(append(l.begin(), "http", "https")) }
	read()
	if n := testing.AllocsPerRun(100, read); n > 0 {
		t.Errorf("got %v allocations", n)
	}
}
