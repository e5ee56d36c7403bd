package loader

import (
	"bytes"
	"unsafe"
)

// vdsoCode holds the addresses of the functions in vdso_amd64.s, in the order of
// vdsoNames.
var vdsoCode [5]uintptr

var vdsoNames = [...]string{"clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"}

// vdsoMark ends each function.
var vdsoMark = []byte("OSDV!DNE")

// vdsoFunction returns the machine code of function i.
func vdsoFunction(i int) []byte {
	const most = 512
	p := vdsoCode[i]
	code := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), most)
	return code[:bytes.Index(code, vdsoMark)]
}

const vdsoMachine = 62 // EM_X86_64
