package tty

// A fifo is bytes that wait to be read. Its zero value is empty.
type fifo struct {
	b  []byte
	at int // what is before has been read
}

// fifoKeep is how much memory an empty fifo keeps.
const fifoKeep = 4096

func (q *fifo) len() int      { return len(q.b) - q.at }
func (q *fifo) bytes() []byte { return q.b[q.at:] }

func (q *fifo) add(p []byte) { q.b = append(q.b, p...) }

// extend adds n bytes, which are returned to be filled.
func (q *fifo) extend(n int) []byte {
	q.b = append(q.b, make([]byte, n)...)
	return q.b[len(q.b)-n:]
}

// truncate keeps at most the first n bytes.
func (q *fifo) truncate(n int) { q.b = q.b[:q.at+min(n, q.len())] }

// skip takes n bytes off the front.
func (q *fifo) skip(n int) {
	q.at += n
	switch {
	case q.at < len(q.b):
		if q.at > len(q.b)/2 {
			q.b, q.at = q.b[:copy(q.b, q.b[q.at:])], 0
		}
	case cap(q.b) > fifoKeep:
		*q = fifo{}
	default:
		q.b, q.at = q.b[:0], 0
	}
}
