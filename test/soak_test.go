package test

import (
	"os"
	"strconv"
)

// soaking is how many rounds a long run has, by SOAK_ROUNDS; 0 in a run like any other, which
// has few rounds, on small tables.
var soaking, _ = strconv.Atoi(os.Getenv("SOAK_ROUNDS"))

// roundsOf is how many there are of something that can be done for ever.
func roundsOf(few int) int {
	if soaking > 0 {
		return soaking
	}
	return max(1, few/slowness)
}

// sized is the size of something which shows more the larger it is.
func sized(small, large int) int {
	if soaking > 0 {
		return large
	}
	return small / slowness
}
