package main

import (
	"math"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []float64
		want   string
	}{
		{"nothing measured", nil, ""},
		{"measured once", []float64{3}, "3.0"},
		{"an odd number", []float64{9, 1, 2}, "2.0 (1.0–9.0)"},
		{"an even number", []float64{4, 1, 2, 9}, "3.0 (1.0–9.0)"},
	} {
		if got := spreadOf(tt.values).text(1); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for n := range hundred {
		hundred[n] = 100 - n
	}
	for _, tt := range []struct {
		values  []int
		percent float64
		want    int
	}{
		{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 99.9, 100}, {hundred, 100, 100},
		{[]int{7}, 50, 7}, {[]int{7}, 99.9, 7},
	} {
		if got := percentile(tt.values, tt.percent); got != tt.want {
			t.Errorf("percentile %g of %d values: got %d, want %d", tt.percent, len(tt.values), got, tt.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		target target
		ratio  float64
		want   string
	}{
		{atMost(0.95), 0.95, "met"},
		{atMost(0.95), 0.96, "**missed**"},
		{atLeast(0.8), 0.8, "met"},
		{atLeast(0.8), 0.79, "**missed**"},
		{target{}, 7, ""},
		{atMost(0.95), math.NaN(), ""},
	} {
		if got := tt.target.verdict(tt.ratio); got != tt.want {
			t.Errorf("%q of %g: got %q, want %q", tt.target, tt.ratio, got, tt.want)
		}
	}
}
