package syscalls

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"gosv/abi/linux"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/task"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// pollRows are the calls that wait for files to become ready.
var pollRows = []Row{
	{AMD64: 7, ARM64: NoNumber, Name: "poll", Blocks: true, Fn: sysPoll, Format: "fds:ptr, nfds:uint, timeout:int"},
	{AMD64: 271, ARM64: 73, Name: "ppoll", Blocks: true, Fn: sysPpoll, Format: "fds:ptr, nfds:uint, timeout:timespec, sigmask:sigset, sigsetsize:size"},
	{AMD64: 23, ARM64: NoNumber, Name: "select", Blocks: true, Fn: sysSelect, Format: "nfds:int, readfds:ptr, writefds:ptr, exceptfds:ptr, timeout:timeval"},
	{AMD64: 270, ARM64: 72, Name: "pselect6", Blocks: true, Fn: sysPselect6, Format: "nfds:int, readfds:ptr, writefds:ptr, exceptfds:ptr, timeout:timespec, sigmask:ptr"},
}

// What select(2) means by readable, writable and exceptional (fs/select.c).
const (
	selectIn  = wait.RdNorm | wait.RdBand | wait.In | wait.Hup | wait.Err
	selectOut = wait.WrBand | wait.WrNorm | wait.Out | wait.Err
	selectEx  = wait.Pri
)

// pollSet is what one call waits for. Sets are kept for the next call, so that
// waiting allocates nothing.
type pollSet struct {
	s       *wait.Sleeper
	entries []pollEntry
	waiters []wait.Waiter
	notify  func(wait.Events)
	buf     []byte
}

type pollEntry struct {
	f         *vfs.File // nil: not open, or not asked for
	queue     *wait.Queue
	fd        int
	want, got wait.Events
}

var pollSets = sync.Pool{New: func() any {
	p := new(pollSet)
	p.notify = func(wait.Events) { p.s.Wake() }
	return p
}}

// pollCost is how many bytes an entry takes, with its waiter and what is copied.
const pollCost = uint64(unsafe.Sizeof(pollEntry{})+unsafe.Sizeof(wait.Waiter{})) + 8

// keepEntries bounds what a set in the pool may hold on to.
const keepEntries = 1024

func newPollSet(t *task.Thread, n int) *pollSet {
	p := pollSets.Get().(*pollSet)
	p.s = &t.Sleeper
	if cap(p.entries) < n {
		p.entries = make([]pollEntry, 0, n)
	}
	p.entries = p.entries[:0]
	return p
}

func (p *pollSet) free() {
	for i := range p.entries {
		if f := p.entries[i].f; f != nil {
			f.Release()
		}
	}
	clear(p.entries)
	p.entries, p.s = p.entries[:0], nil
	if cap(p.entries) <= keepEntries && cap(p.buf) <= 8*keepEntries {
		pollSets.Put(p)
	}
}

// bytes returns a scratch buffer.
func (p *pollSet) bytes(n int) []byte {
	if cap(p.buf) < n {
		p.buf = make([]byte, n)
	}
	return p.buf[:n]
}

// check asks every file, and returns how many have something.
func (p *pollSet) check() (n int) {
	for i := range p.entries {
		e := &p.entries[i]
		if e.f != nil {
			e.got = e.f.Readiness() & e.want
		}
		if e.got != 0 {
			n++
		}
	}
	return n
}

// wait blocks until a file has something, and returns how many have; 0 at the
// deadline, a time on cpu.Nanotime's clock, or at once if block is false.
// interrupted is true if a signal came.
func (p *pollSet) wait(block bool, deadline int64) (n int, interrupted bool) {
	if n = p.check(); n != 0 || !block {
		return n, false
	}
	if cap(p.waiters) < len(p.entries) {
		p.waiters = make([]wait.Waiter, len(p.entries))
	}
	waiters := p.waiters[:len(p.entries)]
	p.s.Clear()
	for i := range p.entries {
		e := &p.entries[i]
		if e.f == nil {
			continue
		}
		if e.queue = e.f.Queue(); e.queue != nil {
			waiters[i] = wait.Waiter{Notify: p.notify, Mask: e.want}
			e.queue.Add(&waiters[i])
		}
	}
	for {
		if n = p.check(); n != 0 {
			break
		}
		r := p.s.Sleep(deadline)
		if r == wait.Woken {
			continue
		}
		if n = p.check(); n == 0 {
			interrupted = r == wait.Interrupted
		}
		break
	}
	for i := range p.entries {
		if q := p.entries[i].queue; q != nil {
			q.Remove(&waiters[i])
		}
	}
	return n, interrupted
}

// pollFDs is poll(2) with the time converted. A descriptor that is not open is
// told as POLLNVAL.
func pollFDs(t *task.Thread, addr, count uint64, block bool, deadline int64) (uint64, bool, error) {
	if count > t.Proc.Limit(unix.RLIMIT_NOFILE) {
		return 0, false, unix.EINVAL
	}
	const size = 8 // struct pollfd
	if bytes := count * pollCost; bytes >= mm.Large {
		if err := mm.Admit(t.MM, bytes); err != nil {
			return 0, false, err
		}
		t.Proc.Hold(int64(bytes))
		defer t.Proc.Hold(-int64(bytes))
	}
	p := newPollSet(t, int(count))
	defer p.free()
	b := p.bytes(size * int(count))
	if err := t.MM.CopyIn(b, addr); err != nil {
		return 0, false, err
	}
	bad := 0
	for i := range int(count) {
		e := pollEntry{fd: int(int32(le.Uint32(b[size*i:])))}
		if e.fd >= 0 {
			e.want = wait.Events(le.Uint16(b[size*i+4:])) | wait.Err | wait.Hup
			f, err := t.Files.Get(e.fd)
			switch {
			case err != nil:
				e.got = wait.NVal
				bad++
			case f.PathOnly():
				f.Release()
				e.got = wait.NVal
				bad++
			default:
				e.f = f
			}
		}
		p.entries = append(p.entries, e)
	}
	n, interrupted := p.wait(block && bad == 0, deadline)
	if interrupted {
		return 0, true, nil
	}
	for i := range p.entries {
		got := [2]byte{}
		le.PutUint16(got[:], uint16(p.entries[i].got))
		copy(b[size*i+6:], got[:])
	}
	if count > 0 {
		if err := t.MM.CopyOut(addr, b); err != nil {
			return 0, false, err
		}
	}
	return uint64(n), false, nil
}

func sysPoll(t *task.Thread, a *Args) (uint64, error) {
	ms := int32(a[2])
	deadline := int64(0)
	if ms > 0 {
		deadline = after(int64(ms) * 1e6)
	}
	return pollUntil(t, a[0], uint64(uint32(a[1])), ms != 0, deadline)
}

// pollUntil is poll(2), which goes on after a signal without a handler.
func pollUntil(t *task.Thread, addr, count uint64, block bool, deadline int64) (uint64, error) {
	n, interrupted, err := pollFDs(t, addr, count, block, deadline)
	if interrupted {
		err = t.RestartWith(func(t *task.Thread) (uint64, error) {
			return pollUntil(t, addr, count, block, deadline)
		})
	}
	return n, err
}

func sysPpoll(t *task.Thread, a *Args) (uint64, error) {
	to, err := timeoutArg(t, a[2], getTimespec)
	if err != nil {
		return 0, err
	}
	if err := temporaryMask(t, a[3], a[4]); err != nil {
		return 0, err
	}
	n, interrupted, err := pollFDs(t, a[0], uint64(uint32(a[1])), to.block, to.deadline)
	return to.finish(t, n, interrupted, err, putTimespec)
}

// A timeout is the time argument of ppoll(2) and select(2): relative, and written
// back as what is left of it.
type timeout struct {
	addr     uint64
	block    bool
	deadline int64
}

// timeoutArg reads a struct timespec or timeval; 0 is none at all.
func timeoutArg(t *task.Thread, addr uint64, get func([]byte) (int64, bool)) (timeout, error) {
	to := timeout{addr: addr, block: true}
	if addr == 0 {
		return to, nil
	}
	var b [16]byte
	if err := t.MM.CopyIn(b[:], addr); err != nil {
		return to, err
	}
	ns, ok := get(b[:])
	if !ok {
		return to, unix.EINVAL
	}
	to.block = ns != 0
	to.deadline = after(ns)
	return to, nil
}

// finish writes back what is left, and makes the result of the call. A call that
// could not do that cannot be started again, for its time would be the whole.
func (to *timeout) finish(t *task.Thread, n uint64, interrupted bool, err error, put func([]byte, int64)) (uint64, error) {
	stored := true
	if to.addr != 0 && (err == nil || err == unix.EINTR) {
		left := int64(0)
		if to.block {
			left = max(to.deadline-cpu.Nanotime(), 0)
		}
		var b [16]byte
		put(b[:], left)
		stored = t.MM.CopyOut(to.addr, b[:]) == nil
	}
	switch {
	case err != nil:
		return 0, err
	case interrupted && stored:
		return 0, linux.ERESTARTNOHAND
	case interrupted:
		return 0, unix.EINTR
	}
	return n, nil
}

// temporaryMask sets the signal mask at addr, if any, until the call is over.
func temporaryMask(t *task.Thread, addr, size uint64) error {
	if addr == 0 {
		return nil
	}
	if size != 8 {
		return unix.EINVAL
	}
	var b [8]byte
	if err := t.MM.CopyIn(b[:], addr); err != nil {
		return err
	}
	t.SetTemporaryMask(linux.SigSet(le.Uint64(b[:])))
	return nil
}

func sysSelect(t *task.Thread, a *Args) (uint64, error) {
	// select(2) takes microseconds beyond a second; POSIX does not.
	to, err := timeoutArg(t, a[4], func(b []byte) (int64, bool) {
		sec, usec := int64(le.Uint64(b)), int64(le.Uint64(b[8:]))
		if sec < 0 || usec < 0 {
			return 0, false
		}
		var n [16]byte
		if sec += usec / 1e6; sec < 0 {
			sec = 1<<63 - 1
		}
		le.PutUint64(n[:], uint64(sec))
		le.PutUint64(n[8:], uint64(usec%1e6))
		return getTimeval(n[:])
	})
	if err != nil {
		return 0, err
	}
	n, interrupted, err := selectFDs(t, a, to)
	return to.finish(t, n, interrupted, err, putTimeval)
}

func sysPselect6(t *task.Thread, a *Args) (uint64, error) {
	to, err := timeoutArg(t, a[4], getTimespec)
	if err != nil {
		return 0, err
	}
	if a[5] != 0 {
		var b [16]byte // pointer and size of the mask
		if err := t.MM.CopyIn(b[:], a[5]); err != nil {
			return 0, err
		}
		if err := temporaryMask(t, le.Uint64(b[:]), le.Uint64(b[8:])); err != nil {
			return 0, err
		}
	}
	n, interrupted, err := selectFDs(t, a, to)
	return to.finish(t, n, interrupted, err, putTimespec)
}

// maxSelect is where fd_sets end: no descriptor is higher.
const maxSelect = 1 << 20

// selectFDs is select(2). The three sets are bit masks in 64-bit words.
func selectFDs(t *task.Thread, a *Args, to timeout) (uint64, bool, error) {
	count := int(int32(a[0]))
	if count < 0 {
		return 0, false, unix.EINVAL
	}
	count = min(count, maxSelect)
	size := (count + 63) / 64 * 8
	p := newPollSet(t, 0)
	defer p.free()
	scratch := p.bytes(6 * size)
	b, found := scratch[:3*size], scratch[3*size:]
	masks := [3]wait.Events{selectIn, selectOut, selectEx}
	for i := range masks {
		set := b[i*size:][:size]
		if a[1+i] == 0 {
			clear(set)
		} else if err := t.MM.CopyIn(set, a[1+i]); err != nil {
			return 0, false, err
		}
	}
	for w := 0; w < size; w += 8 {
		in, out, ex := le.Uint64(b[w:]), le.Uint64(b[size+w:]), le.Uint64(b[2*size+w:])
		for bit, any := 0, in|out|ex; any != 0 && 8*w+bit < count; bit, any = bit+1, any>>1 {
			if any&1 == 0 {
				continue
			}
			e := pollEntry{fd: 8*w + bit}
			for i, set := range [3]uint64{in, out, ex} {
				if set>>bit&1 != 0 {
					e.want |= masks[i]
				}
			}
			f, err := t.Files.Get(e.fd)
			if err != nil {
				return 0, false, err
			}
			if f.PathOnly() {
				f.Release()
				return 0, false, unix.EBADF
			}
			e.f = f
			p.entries = append(p.entries, e)
		}
	}
	_, interrupted := p.wait(to.block, to.deadline)
	if interrupted {
		return 0, true, nil
	}
	n := uint64(0)
	clear(found)
	for _, e := range p.entries {
		for i, mask := range masks {
			at, bit := i*size+e.fd/8, byte(1)<<(e.fd%8)
			if b[at]&bit != 0 && e.got&mask != 0 {
				found[at] |= bit
				n++
			}
		}
	}
	for i := range masks {
		if a[1+i] == 0 {
			continue
		}
		if err := t.MM.CopyOut(a[1+i], found[i*size:][:size]); err != nil {
			return 0, false, err
		}
	}
	return n, false, nil
}
