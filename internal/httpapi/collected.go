package httpapi

import "sync"

const (
	// fullStream is how much is collected before it is written.
	fullStream = 32 << 10

	// fullPage is how much that is where memory is not to be spent: with what it gets around it,
	// net/http writes it out of its own 4 KiB at once. It takes twice the time of larger pieces.
	fullPage = 3600

	// maxLarge is how many streams of a server may collect more than a page at once.
	maxLarge = 32
)

// collected is what a stream has to say and has not written. It holds memory only while there is
// something in it: mostly a page, since streams may be many and wait for clients that read
// nothing, and for a few streams at a time as much as is written at best.
type collected struct {
	buffer []byte
	slots  chan struct{} // of the server; as many as may be large
	large  bool          // it has one of them
}

// pageBuffers and largeBuffers are buffers that are used again, of their sizes and somewhat more.
var (
	pageBuffers  = sync.Pool{New: func() any { return newBuffer(4 << 10) }}
	largeBuffers = sync.Pool{New: func() any { return newBuffer(fullStream + 4<<10) }}
)

func newBuffer(size int) *[]byte {
	b := make([]byte, 0, size)
	return &b
}

// collect returns what is to be appended to.
func (c *collected) collect() []byte {
	if c.buffer == nil {
		c.buffer = (*pageBuffers.Get().(*[]byte))[:0]
	}
	return c.buffer
}

// full reports whether it is time to write. It may give the buffer more room instead.
func (c *collected) full() bool {
	switch {
	case len(c.buffer) < fullPage:
		return false
	case c.large:
		return len(c.buffer) >= fullStream
	case len(c.buffer) < fullStream && c.takeSlot():
		page := c.buffer
		c.buffer = append((*largeBuffers.Get().(*[]byte))[:0], page...)
		keepBuffer(page)
		return false
	}
	return true
}

func (c *collected) takeSlot() bool {
	select {
	case c.slots <- struct{}{}:
		c.large = true
	default:
	}
	return c.large
}

// release forgets what was collected, which is written or of no more use.
func (c *collected) release() {
	if c.large {
		<-c.slots
		c.large = false
	}
	if c.buffer != nil {
		keepBuffer(c.buffer)
		c.buffer = nil
	}
}

// keepBuffer keeps a buffer for others. One that has grown, for an object that is larger than the
// rest, is not worth keeping.
func keepBuffer(b []byte) {
	switch {
	case cap(b) >= fullStream && cap(b) <= 2*fullStream:
		largeBuffers.Put(&b)
	case cap(b) <= 8<<10:
		pageBuffers.Put(&b)
	}
}
