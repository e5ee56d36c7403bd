// Package sysfs is /sys: the part of it that programs read to find out about CPUs and memory.
package sysfs

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"gosv/kernel/cpu"
	"gosv/kernel/frame"
	"gosv/kernel/vfs"
)

// kernelMax is the highest CPU number that could ever be.
const kernelMax = 255

// New returns the file system.
func New() vfs.Filesystem {
	root := vfs.NewStaticDir(0o555).Lazily(fill)
	root.SetIno(1)
	return &vfs.SynthFS{Name: "sysfs", Magic: unix.SYSFS_MAGIC, Top: root}
}

// fill adds what is in the root directory.
func fill(root *vfs.StaticDir) {
	n := cpu.NumCPU()
	all := list(n)

	dir := root.Subdir("devices/system/cpu")
	text(dir, "online", all)
	text(dir, "possible", all)
	text(dir, "present", all)
	text(dir, "offline", "")
	text(dir, "isolated", "")
	text(dir, "kernel_max", strconv.Itoa(kernelMax))
	for i := range n {
		c := dir.Subdir("cpu" + strconv.Itoa(i))
		if i > 0 { // the first cannot be taken away: Linux leaves its file out
			text(c, "online", "1")
		}
		topology(c.Subdir("topology"), i, n)
		addCaches(c, i, n)
		c.Add("node0", vfs.NewLink("../../node/node0"))
	}

	node := root.Subdir("devices/system/node")
	for _, name := range []string{"online", "possible", "has_cpu", "has_memory", "has_normal_memory"} {
		text(node, name, "0")
	}
	node = node.Subdir("node0")
	text(node, "cpulist", all)
	text(node, "cpumap", mask(0, n, n))
	text(node, "distance", "10")
	node.Add("meminfo", vfs.NewReadOnlyFile(nodeMeminfo))
	for i := range n {
		name := "cpu" + strconv.Itoa(i)
		node.Add(name, vfs.NewLink("../../cpu/"+name))
	}

	huge := root.Subdir("kernel/mm/transparent_hugepage")
	text(huge, "enabled", "always [madvise] never")
	text(huge, "defrag", "always defer defer+madvise madvise [never]")
	text(huge, "shmem_enabled", "always within_size advise [never] deny force")
	text(huge, "hpage_pmd_size", strconv.Itoa(2<<20))
	text(huge, "use_zero_page", "0")

	addBlock(root)
	addChars(root)
	root.Subdir("bus")
	addNet(root)
	root.Subdir("fs/cgroup")
	root.Subdir("module")
}

// text adds a file with a fixed line.
func text(d *vfs.StaticDir, name, line string) {
	content := []byte(line + "\n")
	d.Add(name, vfs.NewReadOnlyFile(func() []byte { return content }))
}

// topology adds what is known of a CPU: cores of one package, one thread each.
func topology(d *vfs.StaticDir, i, n int) {
	text(d, "physical_package_id", "0")
	text(d, "die_id", "0")
	text(d, "core_id", strconv.Itoa(i))
	for _, name := range []string{"thread_siblings", "core_cpus"} {
		text(d, name, mask(i, i+1, n))
		text(d, name+"_list", strconv.Itoa(i))
	}
	text(d, "cluster_id", "65535") // unknown
	for _, name := range []string{"core_siblings", "package_cpus", "die_cpus"} {
		text(d, name, mask(0, n, n))
		text(d, name+"_list", list(n))
	}
}

// list writes the CPUs 0 to n-1 as Linux lists them.
func list(n int) string { return span(0, n) }

// span writes the CPUs lo to hi-1.
func span(lo, hi int) string {
	if hi-lo == 1 {
		return strconv.Itoa(lo)
	}
	return strconv.Itoa(lo) + "-" + strconv.Itoa(hi-1)
}

// addChars adds the character devices that programs look up by number or class.
func addChars(root *vfs.StaticDir) {
	for _, c := range []struct{ class, name, dev string }{
		{"mem", "null", "1:3"}, {"mem", "zero", "1:5"}, {"mem", "full", "1:7"}, {"mem", "random", "1:8"}, {"mem", "urandom", "1:9"},
		{"tty", "tty", "5:0"}, {"tty", "console", "5:1"}, {"tty", "ptmx", "5:2"},
	} {
		path := "devices/virtual/" + c.class + "/" + c.name
		d := root.Subdir(path)
		major, minor, _ := strings.Cut(c.dev, ":")
		text(d, "dev", c.dev)
		text(d, "uevent", "MAJOR="+major+"\nMINOR="+minor+"\nDEVNAME="+c.name)
		d.Add("subsystem", vfs.NewLink("../../../../class/"+c.class))
		root.Subdir("class/"+c.class).Add(c.name, vfs.NewLink("../../"+path))
		root.Subdir("dev/char").Add(c.dev, vfs.NewLink("../../"+path))
	}
}

// mask writes the CPUs from lo to hi-1 of n as a bit mask: 32 bits a group, the
// highest first.
func mask(lo, hi, n int) string {
	var b strings.Builder
	for g := (n - 1) / 32; g >= 0; g-- {
		v := uint32(0)
		for i := max(lo, 32*g); i < min(hi, 32*g+32); i++ {
			v |= 1 << (i - 32*g)
		}
		digits := (min(n-32*g, 32) + 3) / 4
		s := strconv.FormatUint(uint64(v), 16)
		b.WriteString(strings.Repeat("0", max(digits-len(s), 0)) + s)
		if g > 0 {
			b.WriteByte(',')
		}
	}
	return b.String()
}

// nodeMeminfo is /sys/devices/system/node/node0/meminfo, as far as numactl and
// hwloc read it.
func nodeMeminfo() []byte {
	total, free, _, cached := frame.Stats()
	var b []byte
	for _, l := range []struct {
		name  string
		pages uint64
	}{{"MemTotal", total}, {"MemFree", free}, {"MemUsed", total - free}, {"FilePages", cached}} {
		b = append(append(append(b, "Node 0 "...), l.name...), ':')
		s := strconv.FormatUint(l.pages*4, 10)
		for n := len(l.name) + 1 + len(s); n < 24; n++ {
			b = append(b, ' ')
		}
		b = append(append(b, s...), " kB\n"...)
	}
	return b
}
