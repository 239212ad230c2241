package main

import (
	"fmt"
	"math"
)

// A target bounds a ratio; only ratios carry over to other machines.
type target struct {
	least, most float64 // what is 0 bounds nothing
}

func atMost(ratio float64) target  { return target{most: ratio} }
func atLeast(ratio float64) target { return target{least: ratio} }

func (t target) String() string {
	switch {
	case t.most > 0:
		return fmt.Sprintf("at most %.2f", t.most)
	case t.least > 0:
		return fmt.Sprintf("at least %.2f", t.least)
	}
	return ""
}

// verdict says whether a ratio is within the target; nothing without one of either.
func (t target) verdict(ratio float64) string {
	switch {
	case t == target{}, math.IsNaN(ratio):
		return ""
	case t.most > 0 && ratio <= t.most, t.least > 0 && ratio >= t.least:
		return "met"
	}
	return "**missed**"
}
