package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// A spread is what several measurements of the same came to.
type spread struct{ least, median, most float64 }

// spreadOf returns that of no measurements as not a number.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return spread{sorted[0], median, sorted[len(sorted)-1]}
}

// text shows the median, and the least and the most where there are others.
func (s spread) text(decimals int) string {
	switch {
	case math.IsNaN(s.median):
		return ""
	case s.least == s.most:
		return fmt.Sprintf("%.*f", decimals, s.median)
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", decimals, s.median, decimals, s.least, decimals, s.most)
}

// ratios divides measurements of the same round by each other: what slows a machine for a
// while slows both. A measurement without its partner is left out.
func ratios(ours, theirs []float64) []float64 {
	all := make([]float64, 0, len(ours))
	for n := range min(len(ours), len(theirs)) {
		all = append(all, ours[n]/theirs[n])
	}
	return all
}

// percentile is the smallest value that so many percent are not above. It sorts.
func percentile[T cmp.Ordered](values []T, percent float64) T {
	slices.Sort(values)
	n := int(math.Ceil(float64(len(values))*percent/100)) - 1
	return values[min(max(n, 0), len(values)-1)]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
