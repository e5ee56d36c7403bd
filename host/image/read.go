package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/erofs/go-erofs"

	"gosv/abi/boot"
)

// Image is an opened image.
type Image struct {
	fs.FS
	Path string
	Size int64
	file *os.File
}

// ErrNotImage says that a file is no image.
var ErrNotImage = errors.New("not a gosv image")

// maxConfig is more than any configuration that the kernel would read.
const maxConfig = 1 << 20

// Open opens an image.
func Open(name string) (*Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = ErrNotImage
	}
	if err == nil {
		var m *Image
		if m, err = read(f); err == nil {
			m.Path, m.Size, m.file = name, st.Size(), f
			return m, nil
		}
	}
	f.Close()
	return nil, err
}

// read begins to read an image.
func read(r io.ReaderAt) (*Image, error) {
	if !IsImage(r) {
		return nil, ErrNotImage
	}
	var bits [1]byte
	if _, err := r.ReadAt(bits[:], superOffset+12); err != nil || 1<<bits[0] != blockSize {
		return nil, fmt.Errorf("%w: its blocks are not of 4 KiB", ErrNotImage) // nor would the kernel take it
	}
	fsys, err := erofs.Open(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNotImage, err)
	}
	return &Image{FS: fsys}, nil
}

// Close closes the image's file.
func (m *Image) Close() error { return m.file.Close() }

// Config reads the image's configuration; an image without one gives the zero value.
func (m *Image) Config() (boot.Config, error) {
	f, err := m.FS.Open(strings.TrimPrefix(boot.ConfigPath, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return boot.Config{}, nil
	}
	if err != nil {
		return boot.Config{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return boot.Config{}, err
	}
	return boot.Parse(string(b))
}

// Name makes a path of the guest into one of the image's fs.FS.
func Name(p string) string {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if p == "" {
		return "."
	}
	return p
}

// Info is what the image knows of a file.
type Info struct {
	UID, GID uint32
	Nlink    int
	Rdev     uint32
}

// InfoOf gives the owner and so on of a file of an image.
func InfoOf(fi fs.FileInfo) Info {
	if s, ok := fi.Sys().(*erofs.Stat); ok {
		return Info{s.UID, s.GID, s.Nlink, s.Rdev}
	}
	return Info{}
}

// Readlink gives the target of a symbolic link.
func (m *Image) Readlink(name string) (string, error) {
	return fs.ReadLink(m.FS, name)
}
