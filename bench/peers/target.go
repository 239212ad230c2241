package main

import "fmt"

// A target bounds a ratio; only ratios carry over to other machines.
type target struct {
	least, most float64 // one of them is 0, and bounds nothing
}

func atMost(ratio float64) target  { return target{most: ratio} }
func atLeast(ratio float64) target { return target{least: ratio} }

func (t target) String() string {
	if t.most > 0 {
		return fmt.Sprintf("at most %.2f", t.most)
	}
	return fmt.Sprintf("at least %.2f", t.least)
}

// verdict says whether a ratio is within the target.
func (t target) verdict(ratio float64) string {
	switch {
	case t.most > 0 && ratio <= t.most, t.least > 0 && ratio >= t.least:
		return "met"
	}
	return "**missed**"
}
