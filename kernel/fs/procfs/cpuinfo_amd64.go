package procfs

import (
	"encoding/binary"
	"strconv"
	"strings"

	"gosv/kernel/cpu"
)

// machine is what uname(2) has as the machine.
const machine = "x86_64"

// A flag group is one register of CPUID and Linux's names for its bits, in order
// of the bits; "" is a bit without a name or one that this kernel does not let
// programs use (arch/x86/include/asm/cpufeatures.h).
type flagGroup struct {
	leaf, sub uint32
	register  int // 0 eax, 1 ebx, 2 ecx, 3 edx
	names     string
}

// The groups are in the order of Linux's words, which is that of the flags line.
var flagGroups = []flagGroup{
	{1, 0, 3, "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe"},
	{0x80000001, 0, 3, "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow"},
	{0x80000007, 0, 3, "- - - - - - - - nonstop_tsc"},
	{1, 0, 2, "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor"},
	{0x80000001, 0, 2, "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx"},
	{7, 0, 1, "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl"},
	{13, 1, 0, "xsaveopt xsavec xgetbv1 xsaves"},
	{7, 1, 0, "- - - - avx_vnni avx512_bf16"},
	{0x80000008, 0, 1, "clzero irperf xsaveerptr"},
	{6, 0, 0, "dtherm ida arat"},
	{7, 0, 2, "- avx512vbmi umip - - waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg - avx512_vpopcntdq - - - - - - - rdpid - - cldemote - movdiri movdir64b"},
	{7, 0, 3, "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - md_clear - - - serialize"},
}

// needXSAVE are the flags that mean nothing where the kernel keeps no XSAVE
// state.
var needXSAVE = []string{"avx", "fma", "f16c", "xop", "vaes", "vpclmulqdq", "xsave"}

func appendFlagNames(b []byte, osxsave bool) []byte {
	for _, g := range flagGroups {
		base := g.leaf & 0x80000000
		if top, _, _, _ := cpu.CPUID(base, 0); top < g.leaf || base != 0 && top < base {
			continue
		}
		var r [4]uint32
		r[0], r[1], r[2], r[3] = cpu.CPUID(g.leaf, g.sub)
		v, bit := r[g.register], 0
	names:
		for name := range strings.SplitSeq(g.names, " ") {
			on := v>>bit&1 != 0 && name != "-"
			bit++
			if !on {
				continue
			}
			if !osxsave {
				for _, prefix := range needXSAVE {
					if strings.HasPrefix(name, prefix) {
						continue names
					}
				}
			}
			b = append(append(b, name...), ' ')
			if name == "nonstop_tsc" { // this bit says both
				b = append(b, "constant_tsc "...)
			}
		}
	}
	return append(b, "nopl cpuid"...)
}

// appendCPUInfo writes /proc/cpuinfo.
func appendCPUInfo(b []byte) []byte {
	level, vb, vc, vd := cpu.CPUID(0, 0)
	var vendor [12]byte
	for i, v := range []uint32{vb, vd, vc} {
		binary.LittleEndian.PutUint32(vendor[4*i:], v)
	}
	sig, misc, features, _ := cpu.CPUID(1, 0)
	stepping := sig & 15
	model, family := sig>>4&15, sig>>8&15
	if family >= 6 {
		model |= sig >> 16 & 15 << 4
	}
	if family == 15 {
		family += sig >> 20 & 255
	}
	extended, _, _, _ := cpu.CPUID(0x80000000, 0)
	var name [48]byte
	if extended >= 0x80000004 {
		for i := range uint32(3) {
			var r [4]uint32
			r[0], r[1], r[2], r[3] = cpu.CPUID(0x80000002+i, 0)
			for j, v := range r {
				binary.LittleEndian.PutUint32(name[16*int(i)+4*j:], v)
			}
		}
	}
	modelName := strings.TrimSpace(strings.TrimRight(string(name[:]), "\x00"))
	if modelName == "" {
		modelName = "unknown"
	}
	cache := cacheSize(extended)
	physical, virtual := uint32(36), uint32(48)
	if extended >= 0x80000008 {
		a, _, _, _ := cpu.CPUID(0x80000008, 0)
		physical, virtual = a&255, a>>8&255
	}
	kHz := frequency() / 1000
	var flags []byte
	flags = appendFlagNames(flags, features>>27&1 != 0)

	n := cpu.NumCPU()
	for i := range n {
		field := func(name, tabs string, v string) {
			b = append(append(append(b, name...), tabs...), ": "...)
			b = append(append(b, v...), '\n')
		}
		num := func(name, tabs string, v uint32) { field(name, tabs, strconv.FormatUint(uint64(v), 10)) }
		num("processor", "\t", uint32(i))
		field("vendor_id", "\t", string(vendor[:]))
		num("cpu family", "\t", family)
		num("model", "\t\t", model)
		field("model name", "\t", modelName)
		num("stepping", "\t", stepping)
		field("cpu MHz", "\t\t", decimal(kHz, 1000, 3))
		if cache > 0 {
			field("cache size", "\t", strconv.FormatUint(uint64(cache), 10)+" KB")
		}
		num("physical id", "\t", 0)
		num("siblings", "\t", uint32(n))
		num("core id", "\t\t", uint32(i))
		num("cpu cores", "\t", uint32(n))
		num("apicid", "\t\t", uint32(i))
		num("initial apicid", "\t", uint32(i))
		field("fpu", "\t\t", "yes")
		field("fpu_exception", "\t", "yes")
		num("cpuid level", "\t", level)
		field("wp", "\t\t", "yes")
		field("flags", "\t\t", string(flags))
		field("bugs", "\t\t", "")
		field("bogomips", "\t", decimal(2*kHz, 1000, 2))
		num("clflush size", "\t", misc>>8&255*8)
		num("cache_alignment", "\t", max(misc>>8&255*8, 64))
		field("address sizes", "\t", strconv.Itoa(int(physical))+" bits physical, "+strconv.Itoa(int(virtual))+" bits virtual")
		field("power management", "", "")
		b = append(b, '\n')
	}
	return b
}

// frequency returns the rate of the time stamp counter in Hz.
func frequency() uint64 {
	mul, shift, _, _ := cpu.TSCParams()
	if mul == 0 {
		return 0
	}
	return uint64(1e9 * float64(uint64(1)<<shift) / float64(mul))
}

// decimal writes v/unit with digits after the point.
func decimal(v, unit uint64, digits int) string {
	b := strconv.AppendUint(nil, v/unit, 10)
	b = append(b, '.')
	for rest := v % unit; digits > 0; digits-- {
		rest *= 10
		b = append(b, byte('0'+rest/unit))
		rest %= unit
	}
	return string(b)
}

// cacheSize returns the size of the second level cache in KB, 0 if unknown.
func cacheSize(extended uint32) uint32 {
	if extended < 0x80000006 {
		return 0
	}
	_, _, c, _ := cpu.CPUID(0x80000006, 0)
	return c >> 16
}
