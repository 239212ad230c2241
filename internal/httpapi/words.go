package httpapi

// words are short strings that were read lately. Instances that are alike say the same of
// themselves, the names of ports, the keys of metadata and versions, and a table of a million
// that keeps each of those once is half as many objects for the garbage collector to visit.
//
// The zero value is ready. It belongs to one goroutine.
type words [256]string

// longestWord is how long a string may be that is kept: what is longer is seldom repeated.
const longestWord = 32

// of returns the string that b is.
func (w *words) of(b []byte) string {
	if len(b) > longestWord {
		return string(b)
	}
	hash := uint32(len(b))
	for _, c := range b {
		hash = hash*31 + uint32(c)
	}
	kept := &w[(hash^hash>>8)%uint32(len(w))]
	if *kept != string(b) {
		*kept = string(b) // whoever chooses strings that meet here gains nothing from it
	}
	return *kept
}
