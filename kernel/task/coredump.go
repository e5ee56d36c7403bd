package task

import (
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/mm"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
)

// This file is when and where a core file is written (core(5)); corefile.go is
// what is in it.

// coreDump is a dump under way.
type coreDump struct{ by *Thread }

// dumpCore ends the process with a signal, and writes a core file if the process
// may have one. It returns false if it is ending already, or may not.
func (t *Thread) dumpCore(info *linux.SigInfo, e *ExitInfo) bool {
	p, sig := t.Proc, info.Signo()
	limit := p.Limit(unix.RLIMIT_CORE)
	if limit < pageSize || p.Dumpable() != 1 {
		return false
	}
	p.mu.Lock()
	if p.exiting.Swap(true) {
		p.mu.Unlock()
		return false
	}
	p.status, p.exitInfo = sig, e
	p.leaveStop()
	p.dump = &coreDump{by: t}
	for _, o := range p.threads {
		if o != t {
			o.kill()
		}
	}
	p.mu.Unlock()
	t.awaitDump()
	ok := t.writeCore(info, limit)

	p.mu.Lock()
	if ok {
		p.status |= coreDumped
	}
	p.dump = nil
	for _, o := range p.threads {
		o.kill()
		o.Wake() // from joinDump
	}
	p.mu.Unlock()
	return true
}

// coreDumped is the bit of WCOREDUMP in wait(2)'s status.
const coreDumped = 0x80

// awaitDump waits until the other threads have come to joinDump, or have ended.
func (t *Thread) awaitDump() {
	p := t.Proc
	for {
		t.Clear()
		p.mu.Lock()
		ready := true
		for _, o := range p.threads {
			ready = ready && (o == t || o.inDump)
		}
		killed := t.killPending()
		p.mu.Unlock()
		if ready || killed {
			return
		}
		t.SleepUninterruptible(0)
	}
}

// joinDump holds an ending thread up while its process is dumped.
func (t *Thread) joinDump() {
	p := t.Proc
	t.Ctx.Release()
	for {
		t.Clear()
		p.mu.Lock()
		d := p.dump
		if d != nil && !t.inDump {
			t.inDump = true
			d.by.Wake()
		}
		p.mu.Unlock()
		if d == nil {
			return
		}
		t.SleepUninterruptible(0)
	}
}

// corePattern is /proc/sys/kernel/core_pattern, coreUsesPID what is beside it.
var (
	corePattern atomic.Pointer[string]
	coreUsesPID sysctl.Int32
)

// maxCorePattern is the length that Linux allows.
const maxCorePattern = 127

// CorePattern is the pattern of the names of core files.
func CorePattern() string {
	if s := corePattern.Load(); s != nil {
		return *s
	}
	return "core"
}

// SetCorePattern sets it. EINVAL: programs that take core files are not started.
func SetCorePattern(s string) error {
	if strings.HasPrefix(s, "|") {
		return unix.EINVAL
	}
	s = s[:min(len(s), maxCorePattern)]
	corePattern.Store(&s)
	return nil
}

// coreName expands the pattern.
func (t *Thread) coreName(pattern string, sig int, now int64) string {
	p, c := t.Proc, t.Creds()
	var b []byte
	number := func(n int64) { b = strconv.AppendInt(b, n, 10) }
	text := func(s string) {
		s = strings.ReplaceAll(s, "/", "!")
		if s == "." || s == ".." { // not a way out of the directory
			s = strings.ReplaceAll(s, ".", "!")
		}
		b = append(b, s...)
	}
	withPID := false
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			b = append(b, pattern[i])
			continue
		}
		if i++; i == len(pattern) {
			break
		}
		switch pattern[i] {
		case '%':
			b = append(b, '%')
		case 'p', 'P':
			withPID = true
			number(int64(p.PID))
		case 'i', 'I':
			number(int64(t.TID))
		case 'u':
			number(int64(c.UID))
		case 'g':
			number(int64(c.GID))
		case 'd':
			number(int64(p.Dumpable()))
		case 's':
			number(int64(sig))
		case 't':
			number(now / 1e9)
		case 'c':
			b = strconv.AppendUint(b, p.Limit(unix.RLIMIT_CORE), 10)
		case 'h':
			text(Hostname())
		case 'e':
			text(t.Comm())
		case 'f':
			exe := p.Exe()
			text(exe[strings.LastIndexByte(exe, '/')+1:])
		case 'E':
			text(p.Exe())
		}
	}
	if coreUsesPID.Load() != 0 && !withPID {
		b = append(b, '.')
		number(int64(p.PID))
	}
	return string(b)
}

// openCore makes the file, in the place of one that is there. It must be the
// program's own, nobody else's, and have one name.
func (t *Thread) openCore(name string) (*vfs.File, error) {
	t.FS.Unlink(t.Caller(), nil, name, 0) //nolint:errcheck // opening it says what is wrong
	f, err := t.FS.Open(t.Caller(), nil, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	var st vfs.Stat
	if err = f.Stat(&st); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || st.UID != t.Creds().FSUID || st.Mode&0o677 != 0o600) {
		err = unix.EPERM
	}
	if err == nil {
		err = f.Truncate(t.Caller(), 0, 1<<62)
	}
	if err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

// writeCore writes the core file of the process, whose other threads are waiting.
func (t *Thread) writeCore(info *linux.SigInfo, limit uint64) bool {
	f, err := t.openCore(t.coreName(CorePattern(), info.Signo(), Walltime()))
	if err != nil {
		return false
	}
	defer f.Release()
	w := coreWriter{t: t, f: f, limit: int64(min(limit, 1<<62))}
	header := t.coreHeader(info, &w)
	w.write(header[:min(uint64(len(header)), limit)])
	if uint64(len(header)) > limit {
		w.err = unix.EFBIG
	}
	for _, s := range w.segments {
		w.memory(s)
	}
	if w.err == nil && w.end < w.at {
		w.err = f.Truncate(t.Caller(), w.at, w.limit)
	}
	return true // WCOREDUMP does not say that all of it is there
}

// A coreWriter writes from the start to the end of the file; what it skips
// becomes a hole.
type coreWriter struct {
	t        *Thread
	f        *vfs.File
	at, end  int64 // where the next bytes go, and where the last ones ended
	limit    int64
	err      error
	segments []coreSegment
}

// A coreSegment is an area as the file has it.
type coreSegment struct {
	mm.AreaInfo
	size uint64 // how much of it is in the file
}

func (w *coreWriter) write(b []byte) {
	if w.err == nil && (w.at+int64(len(b)) > w.limit || w.t.killed()) {
		w.err = unix.EFBIG
	}
	if w.err != nil {
		return
	}
	buf := mm.KernelBuf(b)
	n, err := w.f.WriteAt(nil, &buf, w.at)
	if err == nil && n < int64(len(b)) {
		err = unix.ENOSPC
	}
	w.err = err
	w.at += int64(len(b))
	w.end = w.at
}

// memory writes the pages of a segment; those that were never touched are holes.
func (w *coreWriter) memory(s coreSegment) {
	as := w.t.MM
	page := make([]byte, pageSize)
	for va := s.Start; va < s.Start+s.size && w.err == nil; va += pageSize {
		if s.File == nil {
			if resident, _, _ := as.Residency(va, pageSize); resident == 0 {
				w.at += pageSize
				continue
			}
		}
		if _, err := as.Peek(page, va); err != nil {
			w.at += pageSize
			continue
		}
		w.write(page)
	}
}
