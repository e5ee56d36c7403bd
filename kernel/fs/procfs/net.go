package procfs

import (
	"gosv/kernel/vfs"
)

// netFile is a file of /proc/net.
type netFile struct {
	name   string
	append func(b []byte) []byte
}

var netFiles []netFile

// RegisterNet adds a file to /proc/net, whose content f appends. It is called
// before the file system is made.
func RegisterNet(name string, f func(b []byte) []byte) { netFiles = append(netFiles, netFile{name, f}) }

// addNet adds /proc/net: a link to the directory of the caller's process, as the
// files of Linux are those of its network namespace. All processes have the same.
func (fs *FS) addNet() {
	fs.net = vfs.NewStaticDir(0o555).Lazily(func(d *vfs.StaticDir) {
		for _, f := range netFiles {
			d.Add(f.name, vfs.NewReadOnlyFile(func() []byte { return f.append(make([]byte, 0, 1024)) }))
		}
	})
	fs.root.Add("net", vfs.NewLink("self/net"))
}
