package syscalls

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"gosv/abi/linux"
	"gosv/kernel/task"
)

// printer makes the text of a call's arguments.
type printer struct {
	t      *task.Thread
	row    *Row
	a      Args
	kinds  format
	parts  [6]string
	result uint64
	failed bool
}

// text is the arguments as far as they are known.
func (p *printer) text() string {
	n := p.kinds.n
	for n > 0 && p.parts[n-1] == "" {
		n--
	}
	return strings.Join(p.parts[:n], ", ")
}

// maxString is how much of a string or buffer is printed, as with strace -s 32.
const maxString = 32

// outKind reports whether a kind is what the kernel writes, and the kind itself.
func outKind(kind string) (string, bool) {
	if k, ok := strings.CutSuffix(kind, ".out"); ok {
		return k, true
	}
	return kind, kind == "out" || kind == "stat" || kind == "utsname"
}

// before prints what goes into the call.
func (p *printer) before(i int) {
	kind, out := outKind(p.kinds.kinds[i])
	if out || kind == "iovec" && !p.writes() {
		return
	}
	p.parts[i] = p.value(i, kind)
}

// after prints what came out of it.
func (p *printer) after(i int) {
	kind, out := outKind(p.kinds.kinds[i])
	switch {
	case !out && (kind != "iovec" || p.writes()):
	case p.failed:
		p.parts[i] = ptrText(p.a[i])
	default:
		p.parts[i] = p.value(i, kind)
	}
}

// writes reports whether the call's iovecs go into the kernel.
func (p *printer) writes() bool {
	return strings.Contains(p.row.Name, "write") || strings.Contains(p.row.Name, "send") || p.row.Name == "vmsplice"
}

func (p *printer) value(i int, kind string) string {
	v := p.a[i]
	if set, ok := strings.CutPrefix(kind, "flags."); ok {
		return flagText(set, v)
	}
	switch kind {
	case "int":
		return strconv.Itoa(int(int32(v)))
	case "uint":
		return strconv.FormatUint(uint64(uint32(v)), 10)
	case "size":
		return strconv.FormatInt(int64(v), 10)
	case "hex":
		return "0x" + strconv.FormatUint(v, 16)
	case "oct":
		if i > 0 && p.kinds.kinds[i-1] == "flags.open" && p.a[i-1]&(unix.O_CREAT|unix.O_TMPFILE) == 0 {
			return "" // no mode
		}
		return octal(v)
	case "ptr":
		return ptrText(v)
	case "fd":
		if int32(v) == unix.AT_FDCWD {
			return "AT_FDCWD"
		}
		return strconv.Itoa(int(int32(v)))
	case "sig":
		if s := int(int32(v)); s > 0 && s <= linux.NSIG {
			return task.SignalName(s)
		}
		return strconv.Itoa(int(int32(v)))
	case "clockid":
		return flagText("clockid", v)
	case "futexop":
		return futexOpText(uint32(v))
	case "futexts":
		switch uint32(p.a[1]) & 0x7f {
		case linux.FUTEX_WAIT, linux.FUTEX_WAIT_BITSET, linux.FUTEX_LOCK_PI, linux.FUTEX_LOCK_PI2:
			return p.structure("timespec", v)
		case linux.FUTEX_WAKE, linux.FUTEX_WAKE_BITSET:
			return ""
		}
		return strconv.Itoa(int(int32(v)))
	case "path", "str":
		return p.str(v)
	case "buf":
		return p.bytes(v, p.length(i))
	case "out":
		return p.bytes(v, p.result)
	case "iovec":
		return p.iovec(v, p.length(i))
	case "argv":
		return p.argv(v)
	}
	if s, ok := p.socketValue(i, kind); ok {
		return s
	}
	return p.structure(kind, v)
}

// length is the argument after i: the size of a buffer.
func (p *printer) length(i int) uint64 {
	if i+1 < len(p.a) {
		return p.a[i+1]
	}
	return 0
}

func octal(v uint64) string {
	if v == 0 {
		return "0"
	}
	return "0" + strconv.FormatUint(uint64(uint32(v)), 8)
}

func ptrText(v uint64) string {
	if v == 0 {
		return "NULL"
	}
	return "0x" + strconv.FormatUint(v, 16)
}

func (p *printer) str(addr uint64) string {
	if addr == 0 {
		return "NULL"
	}
	s, err := p.t.MM.CopyInString(addr, unix.PathMax)
	if err == unix.ENAMETOOLONG {
		return p.bytes(addr, unix.PathMax)
	}
	if err != nil {
		return ptrText(addr)
	}
	return quote(s)
}

func (p *printer) bytes(addr, n uint64) string {
	if addr == 0 {
		return "NULL"
	}
	b := make([]byte, min(n, maxString))
	if p.t.MM.CopyIn(b, addr) != nil {
		return ptrText(addr)
	}
	s := quote(string(b))
	if n > maxString {
		s += "..."
	}
	return s
}

// quote writes s as a C string, the way strace does.
func quote(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c >= ' ' && c < 0x7f:
			b = append(b, c)
		default:
			b = append(b, '\\')
			if i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '7' {
				b = append(b, '0'+c>>6, '0'+c>>3&7, '0'+c&7)
			} else {
				b = strconv.AppendUint(b, uint64(c), 8)
			}
		}
	}
	return string(append(b, '"'))
}

const maxElements = 16

func (p *printer) iovec(addr, n uint64) string {
	if addr == 0 {
		return "NULL"
	}
	if p.row.Name == "process_vm_readv" || p.row.Name == "process_vm_writev" {
		return ptrText(addr)
	}
	left := p.result
	if p.writes() {
		left = 1 << 62
	}
	var parts []string
	for i := range min(n, maxElements) {
		base, err := p.t.MM.Load64(addr + 16*i)
		if err != nil {
			return ptrText(addr)
		}
		size, err := p.t.MM.Load64(addr + 16*i + 8)
		if err != nil {
			return ptrText(addr)
		}
		parts = append(parts, "{iov_base="+p.bytes(base, min(size, left))+", iov_len="+strconv.FormatUint(size, 10)+"}")
		left -= min(size, left)
	}
	if n > maxElements {
		parts = append(parts, "...")
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func (p *printer) argv(addr uint64) string {
	if addr == 0 {
		return "NULL"
	}
	var parts []string
	for i := uint64(0); ; i++ {
		s, err := p.t.MM.Load64(addr + 8*i)
		if err != nil {
			return ptrText(addr)
		}
		if s == 0 {
			return "[" + strings.Join(parts, ", ") + "]"
		}
		if i == maxElements {
			return "[" + strings.Join(parts, ", ") + ", ...]"
		}
		parts = append(parts, p.str(s))
	}
}

// resultText prints what a call returned.
func (p *printer) resultText(kind string, v uint64) string {
	switch {
	case kind == "ptr" || kind == "hex":
		return "0x" + strconv.FormatUint(v, 16)
	case kind == "oct":
		return octal(v)
	case kind == "sig":
		return strconv.Itoa(int(v)) + " (" + task.SignalName(int(v)) + ")"
	case strings.HasPrefix(kind, "flags."):
		set := kind[len("flags."):]
		return "0x" + strconv.FormatUint(v, 16) + " (" + flagText(set, v) + ")"
	}
	return strconv.FormatInt(int64(v), 10)
}

// structSize is the size of a struct that is printed, 0 if it is not.
func structSize(kind string) int {
	switch kind {
	case "pollfd", "sigset":
		return 8
	case "epollev":
		return 12
	case "timespec", "timeval", "rlimit":
		return 16
	case "stack":
		return 24
	case "itimerspec", "itimerval", "sigaction":
		return 32
	case "stat":
		return 144
	case "utsname":
		return 390
	}
	return 0
}

// structure prints a struct of the program's memory.
func (p *printer) structure(kind string, addr uint64) string {
	size := structSize(kind)
	if addr == 0 || size == 0 {
		return ptrText(addr)
	}
	b := make([]byte, size)
	if p.t.MM.CopyIn(b, addr) != nil {
		return ptrText(addr)
	}
	num := func(at int) string { return strconv.FormatInt(int64(le.Uint64(b[at:])), 10) }
	spec := func(at int) string { return "{tv_sec=" + num(at) + ", tv_nsec=" + num(at+8) + "}" }
	val := func(at int) string { return "{tv_sec=" + num(at) + ", tv_usec=" + num(at+8) + "}" }
	switch kind {
	case "timespec":
		return spec(0)
	case "timeval":
		return val(0)
	case "itimerspec":
		return "{it_interval=" + spec(0) + ", it_value=" + spec(16) + "}"
	case "itimerval":
		return "{it_interval=" + val(0) + ", it_value=" + val(16) + "}"
	case "rlimit":
		return "{rlim_cur=" + limitText(le.Uint64(b)) + ", rlim_max=" + limitText(le.Uint64(b[8:])) + "}"
	case "sigset":
		return sigSetText(linux.SigSet(le.Uint64(b)))
	case "sigaction":
		return sigActionText(b)
	case "stack":
		return "{ss_sp=" + ptrText(le.Uint64(b)) + ", ss_flags=" + flagText("ss", uint64(le.Uint32(b[8:]))) + ", ss_size=" + num(16) + "}"
	case "stat":
		return statText(b)
	case "utsname":
		name, _, _ := strings.Cut(string(b[65:130]), "\x00")
		return "{sysname=\"Linux\", nodename=" + quote(name) + ", ...}"
	case "epollev":
		return "{events=" + flagText("epoll", uint64(le.Uint32(b))) + ", data=0x" + strconv.FormatUint(le.Uint64(b[4:]), 16) + "}"
	case "pollfd":
		return "[{fd=" + strconv.Itoa(int(int32(le.Uint32(b)))) + ", events=" + flagText("poll", uint64(le.Uint16(b[4:]))) +
			", revents=" + flagText("poll", uint64(le.Uint16(b[6:]))) + "}, ...]"
	}
	return ptrText(addr)
}

func limitText(v uint64) string {
	switch {
	case v == task.Infinity:
		return "RLIM64_INFINITY"
	case v != 0 && v%1024 == 0:
		return strconv.FormatUint(v/1024, 10) + "*1024"
	}
	return strconv.FormatUint(v, 10)
}

func sigSetText(s linux.SigSet) string {
	not := ""
	all := 0
	for sig := 1; sig <= linux.NSIG; sig++ {
		if s.Has(sig) {
			all++
		}
	}
	if all > linux.NSIG*2/3 {
		s, not = ^s, "~"
	}
	var names []string
	for sig := 1; sig <= linux.NSIG; sig++ {
		if s.Has(sig) {
			names = append(names, strings.TrimPrefix(task.SignalName(sig), "SIG"))
		}
	}
	return not + "[" + strings.Join(names, " ") + "]"
}

func sigActionText(b []byte) string {
	handler := ptrText(le.Uint64(b))
	switch le.Uint64(b) {
	case linux.SIG_DFL:
		handler = "SIG_DFL"
	case linux.SIG_IGN:
		handler = "SIG_IGN"
	}
	flags := le.Uint64(b[8:])
	s := "{sa_handler=" + handler
	if flags&linux.SA_SIGINFO != 0 {
		s = "{sa_sigaction=" + handler
	}
	s += ", sa_mask=" + sigSetText(linux.SigSet(le.Uint64(b[24:]))) + ", sa_flags=" + flagText("sa", flags)
	if flags&linux.SA_RESTORER != 0 {
		s += ", sa_restorer=" + ptrText(le.Uint64(b[16:]))
	}
	return s + "}"
}

// statText prints a struct stat of x86-64; other layouts print their mode too.
func statText(b []byte) string {
	mode := le.Uint32(b[24:])
	s := "{st_mode=" + flagText("filetype", uint64(mode&unix.S_IFMT)) + "|0" + strconv.FormatUint(uint64(mode&0o7777), 8)
	switch mode & unix.S_IFMT {
	case unix.S_IFCHR, unix.S_IFBLK:
		dev := le.Uint64(b[40:])
		s += ", st_rdev=makedev(0x" + strconv.FormatUint(uint64(unix.Major(dev)), 16) + ", 0x" + strconv.FormatUint(uint64(unix.Minor(dev)), 16) + ")"
	default:
		s += ", st_size=" + strconv.FormatInt(int64(le.Uint64(b[48:])), 10)
	}
	return s + ", ...}"
}

func futexOpText(op uint32) string {
	names := [...]string{"FUTEX_WAIT", "FUTEX_WAKE", "FUTEX_FD", "FUTEX_REQUEUE", "FUTEX_CMP_REQUEUE", "FUTEX_WAKE_OP", "FUTEX_LOCK_PI",
		"FUTEX_UNLOCK_PI", "FUTEX_TRYLOCK_PI", "FUTEX_WAIT_BITSET", "FUTEX_WAKE_BITSET", "FUTEX_WAIT_REQUEUE_PI", "FUTEX_CMP_REQUEUE_PI", "FUTEX_LOCK_PI2"}
	cmd := op & 0x7f
	if int(cmd) >= len(names) {
		return "0x" + strconv.FormatUint(uint64(op), 16)
	}
	s := names[cmd]
	if op&linux.FUTEX_PRIVATE_FLAG != 0 {
		s += "_PRIVATE"
	}
	if op&linux.FUTEX_CLOCK_REALTIME != 0 {
		s += "|FUTEX_CLOCK_REALTIME"
	}
	return s
}
