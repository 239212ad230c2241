package httpapi

import (
	"strconv"
	"strings"
)

// wholeNumber reads a number as JSON has it (RFC 8259, section 6). JSON knows no integers:
// one is whatever number has no fraction, however it is written (JSON Schema, section 6.1.1 of
// its validation, which OpenAPI follows).
//
//	8080  8080.0  80.8e2  808000E-2   8080
//	-0  0.0e99999999999999999999      0
//	0.5  1e-1                         not whole
//	1e19  1e99999999999999999999      whole, and fits in no int64
func wholeNumber(number []byte) (n int64, whole, fits bool) {
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err == nil {
		return n, true, true
	}
	mantissa, exponent, scaled := strings.Cut(strings.ToLower(string(number)), "e")
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	integer, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(integer+fraction, "0")
	if digits == "" {
		return 0, true, true
	}
	power := int64(0)
	if scaled {
		// What is beyond 62 bits becomes the largest of them: more than any body has digits.
		power, _ = strconv.ParseInt(exponent, 10, 62)
	}
	significant := strings.TrimRight(digits, "0")
	power += int64(len(digits) - len(significant) - len(fraction))
	if power < 0 {
		return 0, false, false
	}
	if int64(len(significant))+power > 19 { // the largest int64 has as many
		return 0, true, false
	}
	digits = significant + strings.Repeat("0", int(power))
	if negative {
		digits = "-" + digits
	}
	n, err = strconv.ParseInt(digits, 10, 64)
	return n, true, err == nil
}
