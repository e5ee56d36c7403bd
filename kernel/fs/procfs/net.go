package procfs

import (
	"strings"

	"gosv/kernel/vfs"
)

// registered is a file that a package above this one has.
type registered struct {
	path   string
	append func(b []byte) []byte
}

var files []registered

// Register adds a file about the whole machine at a path below /proc, whose
// content f appends. It is called before the file system is made.
func Register(path string, f func(b []byte) []byte) { files = append(files, registered{path, f}) }

// RegisterNet adds a file to /proc/net.
func RegisterNet(name string, f func(b []byte) []byte) { Register("net/"+name, f) }

// addRegistered adds the registered files of a directory and of those below it;
// prefix is empty or ends with "/".
func addRegistered(d *vfs.StaticDir, prefix string) {
	for _, f := range files {
		path, ok := strings.CutPrefix(f.path, prefix)
		if !ok || prefix == "" && strings.HasPrefix(path, "net/") {
			continue
		}
		dir := d
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			dir, path = d.Subdir(path[:i]), path[i+1:]
		}
		dir.Add(path, vfs.NewReadOnlyFile(func() []byte { return f.append(make([]byte, 0, 1024)) }))
	}
}

// addNet adds /proc/net: a link to the directory of the caller's process, as the
// files of Linux are those of its network namespace. All processes have the same.
func (fs *FS) addNet() {
	fs.net = vfs.NewStaticDir(0o555).Lazily(func(d *vfs.StaticDir) { addRegistered(d, "net/") })
	fs.root.Add("net", vfs.NewLink("self/net"))
}
