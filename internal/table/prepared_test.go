package table

import "testing"

// What is prepared of a view is made once, and again after it was told to forget: also by a
// reader who had begun before.
func TestForgottenIsPreparedAnew(t *testing.T) {
	v := &View{}
	made := 0
	prepare := func() *Preparation { made++; return &Preparation{Value: made} }
	for _, step := range []struct {
		sentence string
		do       func() any
		want     any
	}{
		{"it is made", func() any { return v.Prepared("a", prepare) }, 1},
		{"and found", func() any { return v.Prepared("a", prepare) }, 1},
		{"another stands beside", func() any { return v.Prepared("b", prepare) }, 2},
		{"and leaves the first", func() any { return v.Prepared("a", prepare) }, 1},
		{"forgotten, it is made again", func() any { v.Forget(); return v.Prepared("a", prepare) }, 3},
		{"and the other as well", func() any { return v.Prepared("b", prepare) }, 4},
		{"who was making it when it was forgotten makes it anew", func() any {
			return v.Prepared("c", func() *Preparation {
				if made == 4 {
					v.Forget()
				}
				return prepare()
			})
		}, 6},
		{"and that is what is found", func() any { return v.Prepared("c", prepare) }, 6},
		{"who came second gets what the first has made", func() any {
			return v.Prepared("d", func() *Preparation {
				if made == 6 {
					first := v.Prepared("d", func() *Preparation { made = 100; return &Preparation{Value: "first"} })
					return &Preparation{Value: first != "first"}
				}
				return prepare()
			})
		}, "first"},
	} {
		if got := step.do(); got != step.want {
			t.Errorf("%s: got %v, want %v", step.sentence, got, step.want)
		}
	}
}
