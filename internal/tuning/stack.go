package tuning

import (
	"context"
	"runtime"
)

// Each query over UDP is answered in a goroutine of its own. Go starts one with 2 KiB of
// stack, and a query takes more: so on its way through the plugins its stack is copied to one
// twice as large, and then once more. That is 7% of what a query costs on our server, and
// 10% below *errors* and *prometheus*.
//
// Go starts goroutines with more where those that are there use more: at the end of each
// collection it takes the average of what they have on their stacks, adds 928 bytes, and
// rounds up to a power of two (golang/go#18138, gcComputeStartingStackSize in the runtime).
// In a CoreDNS some thirty goroutines wait with next to nothing on theirs. One that waits
// with a lot makes up for them, and queries start with 8 KiB, from the first collection on,
// which comes after some thousands of them.
//
// Nothing depends on it. Each connection that is open has a goroutine that waits, and the
// average falls: from fifty to eighty on it comes to 4 KiB, and with thousands to what it
// would be without. Then stacks grow as they always did. Where few wait, or two endpoints
// each hold a stack, queries may start with 16 KiB, which is no loss: the stack of a goroutine
// that has ended is used again, and that of one that stays and uses less than a quarter of it
// is halved by the next collection.
//
// It costs 256 KiB of memory for each endpoint, and 512 KiB from about twenty CPUs on.

// stackShare for each of so many goroutines, and for the one that the collector has on each
// CPU, is what the stack that is held makes up for. A share lies in the middle of the averages
// that come to 8 KiB, which are those from 3168 to 7264 bytes: so there may be as few as
// twenty-six goroutines, those of the runtime included, or sixty.
const (
	stackShare   = 4 << 10
	stackSharers = 40
)

// HoldStack waits for the context to end, with a lot on its stack.
func HoldStack(ctx context.Context) {
	deepen(stackSharers+runtime.GOMAXPROCS(0), func() { <-ctx.Done() })
}

// deepen calls a function below so many shares of stack. A share has no pointers, so no
// collection looks through it. It is written to and returned from at an index that is known
// only when it runs: else the compiler would leave it out.
//
//go:noinline
func deepen(shares int, call func()) byte {
	var share [stackShare]byte
	if shares > 1 {
		share[0] = deepen(shares-1, call)
	} else {
		call()
	}
	return share[shares%len(share)]
}
