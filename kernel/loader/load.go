// Package loader makes address spaces from programs: ELF files and #! scripts, the initial stack with the auxiliary
// vector, and the vDSO.
//
// Everything in a program's file is untrusted: whatever it contains ends in an errno.
package loader

import (
	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/random"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
)

// Args say what to load.
type Args struct {
	Caller vfs.Caller
	FS     *vfs.FSContext
	Dir    *vfs.File // of execveat(2), nil: the working directory
	Path   string
	Flags  int    // AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
	Name   string // AT_EXECFN, the path if empty
	Argv   []string
	Env    []string

	StackLimit uint64 // RLIMIT_STACK
	NoSetID    bool   // set-user-ID bits have no effect (no_new_privs)
	NoRandom   bool   // ADDR_NO_RANDOMIZE; a program with another user takes no notice
}

// An Image is a loaded program.
type Image struct {
	MM        *mm.AddressSpace
	Entry, SP uint64
	Exe       *vfs.File  // with a reference, and writing denied
	Creds     *vfs.Creds // of the program
	Comm      string
	Secure    bool // it has another user or group than who started it
	Layout    *Layout
}

// Layout is where the parts of a program are in its memory; it does not change.
type Layout struct {
	StartCode, EndCode, StartData, EndData uint64
	StartBrk, StartStack                   uint64
	ArgStart, ArgEnd, EnvStart, EnvEnd     uint64
	Auxv                                   []byte
	VDSO                                   uint64
}

// Load opens the program and builds its memory: the errors are those of
// execve(2).
func Load(a *Args) (*Image, error) {
	l := &load{Args: a, argv: a.Argv, name: a.Name}
	if l.name == "" {
		l.name = a.Path
	}
	if len(l.argv) == 0 {
		l.argv = []string{""} // as Linux since 5.18
	}
	exe, err := a.FS.OpenExec(a.Caller, a.Dir, a.Path, a.Flags)
	if err != nil {
		return nil, err
	}
	if err := exe.DenyWrite(); err != nil {
		exe.Release()
		return nil, err
	}
	l.exe = exe
	img, err := l.run()
	if err != nil {
		l.exe.AllowWrite()
		l.exe.Release()
		return nil, err
	}
	return img, nil
}

// load is one Load in progress.
type load struct {
	*Args
	exe  *vfs.File
	name string // AT_EXECFN, which a script's interpreter inherits
	argv []string
	head [headSize]byte

	argvDepth  int    // scripts so far
	scriptPath string // what the interpreter that is a script was called

	hdr    header
	interp *vfs.File
	ihdr   header

	as       *mm.AddressSpace
	bias     uint64
	ibase    uint64
	entry    uint64
	stackTop uint64
	creds    *vfs.Creds
	secure   bool
	random   int32 // Randomize for this program
	vdso     uint64
	layout   Layout
}

// headSize is BINPRM_BUF_SIZE: how much of a file decides what it is.
const headSize = 256

// readAt fills b from the file and returns how much of it there was.
func (l *load) readAt(f *vfs.File, b []byte, off uint64) (int, error) {
	if off > 1<<62 {
		return 0, unix.ENOEXEC
	}
	done := 0
	for done < len(b) {
		buf := mm.KernelBuf(b[done:])
		n, err := f.ReadAt(l.Caller.Sleeper, &buf, int64(off)+int64(done))
		if err != nil {
			return done, err
		}
		if n == 0 {
			break
		}
		done += int(n)
	}
	return done, nil
}

func (l *load) run() (*Image, error) {
	comm := baseName(l.Path)
	if l.Path == "" { // fexecve(3)
		comm = baseName(l.exe.MapName())
	}
	l.computeCreds()
	for depth := 0; ; depth++ {
		clear(l.head[:])
		n, err := l.readAt(l.exe, l.head[:], 0)
		if err != nil {
			return nil, err
		}
		if n < 2 || l.head[0] != '#' || l.head[1] != '!' {
			break
		}
		if depth == 5 {
			return nil, unix.ELOOP
		}
		if err := l.script(); err != nil {
			return nil, err
		}
	}
	if err := l.readHeaders(); err != nil {
		return nil, err
	}
	defer func() {
		if l.interp != nil {
			l.interp.AllowWrite()
			l.interp.Release()
		}
	}()
	as, err := mm.New()
	if err != nil {
		return nil, err
	}
	l.as = as
	sp, err := l.build()
	if err != nil {
		as.Release()
		return nil, err
	}
	return &Image{MM: as, Entry: l.entry, SP: sp, Exe: l.exe, Creds: l.creds, Comm: comm, Secure: l.secure, Layout: &l.layout}, nil
}

func baseName(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

// secbitKeepCaps is SECBIT_KEEP_CAPS, which execve clears (capabilities(7)).
const secbitKeepCaps = 1 << 4

// computeCreds applies set-user-ID and set-group-ID bits (execve(2)).
func (l *load) computeCreds() {
	c := l.Caller.Creds
	n := *c
	var st vfs.Stat
	if !l.NoSetID && l.exe.Stat(&st) == nil && (l.exe.Path().Mount == nil || l.exe.Path().Mount.Flags()&unix.MS_NOSUID == 0) {
		if st.Mode&unix.S_ISUID != 0 {
			n.EUID = st.UID
		}
		if st.Mode&(unix.S_ISGID|0o010) == unix.S_ISGID|0o010 {
			n.EGID = st.GID
		}
	}
	n.Securebits &^= secbitKeepCaps
	n.SUID, n.FSUID = n.EUID, n.EUID
	n.SGID, n.FSGID = n.EGID, n.EGID
	switch {
	case n.EUID == 0 || n.UID == 0: // capabilities(7), "Capabilities and execution of programs by root"
		n.Permitted = n.Inheritable | n.Bounding
		n.Effective = 0
		if n.EUID == 0 {
			n.Effective = n.Permitted
		}
	default:
		n.Permitted = n.Ambient
		n.Effective = n.Ambient
	}
	l.secure = n.EUID != n.UID || n.EGID != n.GID
	l.creds = &n
}

// script replaces the program by its interpreter: #!interpreter [argument].
func (l *load) script() error {
	line := l.head[2:]
	end := -1
	for i, c := range line {
		if c == '\n' || c == 0 {
			end = i
			break
		}
	}
	if end < 0 {
		// A line too long may be cut in its argument, never in the interpreter's name.
		end = len(line)
		if !hasBlank(trimBlank(line)) {
			return unix.ENOEXEC
		}
	}
	text := trimBlank(line[:end])
	if len(text) == 0 {
		return unix.ENOEXEC
	}
	i := 0
	for i < len(text) && text[i] != ' ' && text[i] != '\t' {
		i++
	}
	interp, arg := string(text[:i]), string(trimBlank(text[i:]))
	argv := []string{interp}
	if arg != "" {
		argv = append(argv, arg)
	}
	path := l.Path
	if l.Dir != nil && (path == "" || path[0] != '/') {
		path = l.Dir.Name(l.FS.Root())
		if l.Path != "" {
			path += "/" + l.Path
		}
	}
	if l.argvDepth > 0 {
		path = l.scriptPath
	}
	l.argv = append(append(argv, path), l.argv[1:]...)
	l.argvDepth++
	l.scriptPath = interp
	next, err := l.FS.OpenExec(l.Caller, nil, interp, 0)
	if err != nil {
		return err
	}
	if err := next.DenyWrite(); err != nil {
		next.Release()
		return err
	}
	l.exe.AllowWrite()
	l.exe.Release()
	l.exe = next
	l.computeCreds()
	return nil
}

func trimBlank(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func hasBlank(b []byte) bool {
	for _, c := range b {
		if c == ' ' || c == '\t' {
			return true
		}
	}
	return false
}

// readHeaders reads the program's ELF headers and its interpreter's.
func (l *load) readHeaders() (err error) {
	if l.hdr, err = l.readELF(l.exe, l.head[:]); err != nil {
		return err
	}
	for _, s := range l.hdr.progs {
		if s.typ != ptInterp {
			continue
		}
		if s.filesz < 2 || s.filesz > unix.PathMax {
			return unix.ENOEXEC
		}
		b := make([]byte, s.filesz)
		if n, err := l.readAt(l.exe, b, s.off); err != nil || n != len(b) || b[n-1] != 0 {
			return unix.ENOEXEC
		}
		path := string(b[:len(b)-1])
		for i := range path {
			if path[i] == 0 {
				path = path[:i]
				break
			}
		}
		f, err := l.FS.OpenExec(l.Caller, nil, path, 0)
		if err != nil {
			return err
		}
		if err := f.DenyWrite(); err != nil {
			f.Release()
			return err
		}
		var head [ehdrSize]byte
		n, err := l.readAt(f, head[:], 0)
		if err == nil {
			l.ihdr, err = l.readELF(f, head[:n])
		}
		if err != nil {
			f.AllowWrite()
			f.Release()
			if err == unix.ENOEXEC {
				err = unix.ELIBBAD
			}
			return err
		}
		l.interp = f
		break
	}
	return nil
}

func (l *load) readELF(f *vfs.File, head []byte) (header, error) {
	h, err := parseHeader(head)
	if err != nil {
		return h, err
	}
	b := make([]byte, h.phnum*phdrSize)
	if n, err := l.readAt(f, b, h.phoff); err != nil || n != len(b) {
		return h, unix.ENOEXEC
	}
	return h, h.parsePrograms(b)
}

// Randomness of addresses, in pages, as Linux has it by default.
const (
	randomMmap  = 1 << 28
	randomStack = 1 << 22
	randomBrk   = 32 << 20 / cpu.PageSize
	pieBase     = cpu.UserTop / 3 * 2 &^ (cpu.PageSize - 1)
	stackGap    = 128 << 20
)

// Randomize is kernel.randomize_va_space: 0 leaves addresses as they are, 1
// randomizes all but the start of the heap, 2 that too.
var Randomize sysctl.Int32 = 2

var sysctls = [...]sysctl.Row{
	{Name: "kernel.randomize_va_space", Value: &sysctl.Int{Var: &Randomize}},
}

func init() { sysctl.Register(sysctls[:]) }

// randomPages returns a size of less than n pages; 0 if nothing is randomized.
func (l *load) randomPages(n uint64) uint64 {
	if l.random == 0 {
		return 0
	}
	return random.Uint64() % n * cpu.PageSize
}

// build fills the address space and returns the initial stack pointer.
func (l *load) build() (sp uint64, err error) {
	if l.random = Randomize.Load(); l.NoRandom && !l.secure {
		l.random = 0
	}
	l.stackTop = cpu.UserTop - l.randomPages(randomStack)
	gap := max(stackGap, min(l.StackLimit, cpu.UserTop/6*5))
	if l.random != 0 {
		gap += randomStack * cpu.PageSize
	}
	mmapBase := pageUp(cpu.UserTop-gap-l.randomPages(randomMmap)) - cpu.PageSize
	l.as.SetLayout(mmapBase, 0, l.stackTop)

	lo, hi, align := l.hdr.span()
	if l.hdr.typ == etDyn {
		at := uint64(0)
		if l.interp != nil {
			at = (pieBase + l.randomPages(randomMmap)) &^ (align - 1)
		} else if at, err = reserve(l.as, 0, hi-lo+align); err != nil {
			return 0, err
		} else {
			at = (at + align - 1) &^ (align - 1)
		}
		if at+(hi-lo) > cpu.UserTop {
			return 0, unix.ENOEXEC
		}
		l.bias = at - lo
	}
	if err := l.hdr.mapSegments(l.as, l.exe, l.bias, true); err != nil {
		return 0, err
	}
	l.describe()
	l.as.SetBrk(l.layout.StartBrk)
	l.entry = l.hdr.entry + l.bias
	if l.interp != nil {
		if err := l.mapInterp(); err != nil {
			return 0, err
		}
	}
	if l.entry >= cpu.UserTop {
		return 0, unix.ENOEXEC
	}
	if l.vdso, err = mapVDSO(l.as); err != nil {
		return 0, err
	}
	l.layout.VDSO = l.vdso
	return l.makeStack()
}

// describe fills in the layout: code, data, and where the heap starts.
func (l *load) describe() {
	y := &l.layout
	y.StartCode = ^uint64(0)
	_, hi, _ := l.hdr.span()
	for _, s := range l.hdr.progs {
		if s.typ != ptLoad {
			continue
		}
		if s.flags&pfX != 0 {
			y.StartCode = min(y.StartCode, s.vaddr+l.bias)
			y.EndCode = max(y.EndCode, s.vaddr+s.filesz+l.bias)
		}
		if s.vaddr+l.bias >= y.StartData {
			y.StartData = s.vaddr + l.bias
			y.EndData = s.vaddr + s.filesz + l.bias
		}
	}
	y.StartBrk = hi + l.bias
	if l.hdr.typ == etDyn && l.interp == nil {
		y.StartBrk = pieBase // a static PIE lies among the mappings, where no heap can grow
	}
	if l.random > 1 {
		y.StartBrk += l.randomPages(randomBrk)
	}
}

func (l *load) mapInterp() error {
	lo, hi, align := l.ihdr.span()
	bias := uint64(0)
	if l.ihdr.typ == etDyn {
		at, err := reserve(l.as, 0, hi-lo+align-cpu.PageSize)
		if err != nil {
			return err
		}
		at = (at + align - 1) &^ (align - 1)
		bias = at - lo
		l.ibase = at
	}
	if err := l.ihdr.mapSegments(l.as, l.interp, bias, true); err != nil {
		return err
	}
	l.entry = l.ihdr.entry + bias
	return nil
}
