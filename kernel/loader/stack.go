package loader

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/mm"
	"gosv/kernel/random"
)

// Entries of the auxiliary vector (getauxval(3), include/uapi/linux/auxvec.h).
const (
	atNull        = 0
	atPhdr        = 3
	atPhent       = 4
	atPhnum       = 5
	atPagesz      = 6
	atBase        = 7
	atFlags       = 8
	atEntry       = 9
	atUID         = 11
	atEUID        = 12
	atGID         = 13
	atEGID        = 14
	atPlatform    = 15
	atHwcap       = 16
	atClktck      = 17
	atSecure      = 23
	atRandom      = 25
	atHwcap2      = 26
	atExecfn      = 31
	atSysinfoEhdr = 33
	atMinsigstksz = 51
)

// Limits of execve(2).
const (
	maxArgString = 128 << 10 // MAX_ARG_STRLEN
	stackStart   = 132 << 10 // of the mapping, beside the arguments; it grows on faults
)

// MinSigStack is AT_MINSIGSTKSZ; package task, which builds the frames, sets it.
var MinSigStack uint64 = 2048

// makeStack maps the stack and puts arguments, environment and auxiliary vector
// on it, in the order of the System V ABI.
func (l *load) makeStack() (uint64, error) {
	size := len(l.name) + 1 + 64
	for _, list := range [][]string{l.argv, l.Env} {
		for _, s := range list {
			if len(s)+1 > maxArgString {
				return 0, unix.E2BIG
			}
			size += len(s) + 1
		}
	}
	words := len(l.argv) + len(l.Env) + 3 + 2*32
	// The strings may take a quarter of the stack, and at least 128 KiB (execve(2)).
	limit := min(max(l.StackLimit/4, maxArgString), 6<<20)
	if uint64(size+8*(len(l.argv)+len(l.Env))) > limit {
		return 0, unix.E2BIG
	}
	total := pageUp(uint64(size + 8*words + 256))
	low := l.stackTop - total - stackStart
	prot := mm.ProtRead | mm.ProtWrite
	if l.hdr.executableStack() {
		prot |= mm.ProtExec
	}
	if _, err := l.as.Mmap(mm.MapArgs{Addr: low, Len: l.stackTop - low, Prot: prot,
		Flags: mapPrivate | mapAnonymous | mapFixed | unix.MAP_GROWSDOWN, Name: "[stack]", Grow: true}); err != nil {
		return 0, err
	}

	// Strings, from the top down: 8 bytes of zeros, the file name, environment,
	// arguments; then the platform, the random bytes, and the words.
	if err := mm.Admit(l.as, total); err != nil {
		return 0, err
	}
	b := make([]byte, total)
	base := l.stackTop - total
	at := len(b) - 8
	put := func(s string) uint64 {
		at -= len(s) + 1
		copy(b[at:], s)
		return base + uint64(at)
	}
	execfn := put(l.name)
	puts := func(list []string) (start, end uint64, addrs []uint64) {
		end = base + uint64(at)
		addrs = make([]uint64, len(list))
		for i := len(list) - 1; i >= 0; i-- {
			addrs[i] = put(list[i])
		}
		return base + uint64(at), end, addrs
	}
	y := &l.layout
	var env, argv []uint64
	y.EnvStart, y.EnvEnd, env = puts(l.Env)
	y.ArgStart, y.ArgEnd, argv = puts(l.argv)
	at &^= 15
	if l.random != 0 {
		at -= int(random.Uint64() % 16 * 16) // the stack pointer's low bits vary too
	}
	at = max(at, 8*words+64)
	platform := put(platformName)
	at = (at - 16) &^ 15
	random.Read(b[at : at+16])
	randomAt := base + uint64(at)

	le := binary.LittleEndian
	c := l.creds
	hwcap, hwcap2 := hwcaps()
	secure := uint64(0)
	if l.secure {
		secure = 1
	}
	phdr := l.hdr.phdrAddr()
	if phdr != 0 {
		phdr += l.bias
	}
	auxv := [][2]uint64{
		{atSysinfoEhdr, l.vdso},
		{atMinsigstksz, MinSigStack},
		{atHwcap, hwcap},
		{atPagesz, cpu.PageSize},
		{atClktck, 100},
		{atPhdr, phdr},
		{atPhent, phdrSize},
		{atPhnum, uint64(l.hdr.phnum)},
		{atBase, l.ibase},
		{atFlags, 0},
		{atEntry, l.hdr.entry + l.bias},
		{atUID, uint64(c.UID)}, {atEUID, uint64(c.EUID)}, {atGID, uint64(c.GID)}, {atEGID, uint64(c.EGID)},
		{atSecure, secure},
		{atRandom, randomAt},
		{atHwcap2, hwcap2},
		{atExecfn, execfn},
		{atPlatform, platform},
		{atNull, 0},
	}
	n := 8 * (1 + len(argv) + 1 + len(env) + 1 + 2*len(auxv))
	at = (at - n) &^ 15
	sp := base + uint64(at)
	w := at
	word := func(v uint64) {
		le.PutUint64(b[w:], v)
		w += 8
	}
	word(uint64(len(argv)))
	for _, a := range argv {
		word(a)
	}
	word(0)
	for _, a := range env {
		word(a)
	}
	word(0)
	for _, v := range auxv {
		word(v[0])
		word(v[1])
	}
	y.Auxv = append([]byte(nil), b[w-16*len(auxv):w]...)
	y.StartStack = sp
	return sp, l.as.CopyOut(sp, b[at:])
}
