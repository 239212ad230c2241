//go:build race

package test

// raceEnabled says that the tests, and so the program too, run with the race detector.
const raceEnabled = true

// slowness is how many times longer that takes. There is as much less to do.
const slowness = 5
