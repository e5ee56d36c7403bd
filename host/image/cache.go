package image

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gosv/host/rootfs"
)

// Cache keeps images that were made for `gosv run`, and the kernel's ELF file.
//
// An image is found by a key that the caller makes of everything that decides
// what goes in; beside it stands a list of the host files it came from, with
// what stat said of them. It is used again while all of them are unchanged.
type Cache struct{ Dir string }

// ours refuses a directory into which another user could put images.
func ours(dir string) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(dir, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: dir, Err: err}
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR || int(st.Uid) != os.Geteuid() && st.Uid != 0 || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s is not a directory that only this user can write", dir)
	}
	return nil
}

// CacheLimit is how many bytes of images are kept.
const CacheLimit = 4 << 30

// graceTime is how long an image is safe from pruning after its last use: QEMU
// may be about to open it.
const graceTime = 10 * time.Minute

// OpenCache gives the user's cache: $XDG_CACHE_HOME/gosv, ~/.cache/gosv, or, if
// there is no home, a directory of his own below the temporary one.
func OpenCache() (*Cache, error) {
	dir, err := os.UserCacheDir()
	if err == nil {
		dir = filepath.Join(dir, "gosv")
	} else {
		dir = filepath.Join(os.TempDir(), "gosv-cache-"+strconv.Itoa(os.Getuid()))
	}
	err = os.MkdirAll(dir, 0o700)
	if err == nil {
		err = ours(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("no place for images: %w; set XDG_CACHE_HOME to a directory that can be written", err)
	}
	return &Cache{dir}, nil
}

// Key hashes the parts that decide what an image is.
func Key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

const (
	imageSuffix = ".erofs"
	listSuffix  = ".files"
	listMagic   = "gosv files 2"
)

// Find gives the image of a key if it is still current, with the note that was
// stored with it.
func (c *Cache) Find(key string) (name, note string, ok bool) {
	list, err := os.Open(filepath.Join(c.Dir, key+listSuffix))
	if err != nil {
		return "", "", false
	}
	defer list.Close()
	stamps, h, err := readList(list)
	if err != nil {
		return "", "", false
	}
	name, note, size := c.imageName(key, h.hash), h.note, h.size
	if st, err := os.Stat(name); err != nil || st.Size() != size {
		return "", "", false
	}
	for file, s := range stamps {
		if !s.Unchanged(file) {
			return "", "", false
		}
	}
	now := time.Now()
	os.Chtimes(name, now, now) //nolint:errcheck // only the order of pruning depends on it
	return name, note, true
}

// Store makes the image of a tree and keeps it under a key.
func (c *Cache) Store(key, note string, tree *rootfs.Tree) (string, error) {
	// The hash keeps tools apart that make an image of the same key at the same time, with a changed file between them.
	hash := tree.Hash()[:12]
	name := c.imageName(key, hash)
	size, err := WriteFile(name, tree)
	if err != nil {
		return "", err
	}
	list := appendList(nil, tree.Stamps(), listHead{note, hash, size})
	if err := replaceFile(filepath.Join(c.Dir, key+listSuffix), 0o600, func(f *os.File) error {
		_, err := f.Write(list)
		return err
	}); err != nil {
		return "", err
	}
	c.prune(CacheLimit)
	return name, nil
}

func (c *Cache) imageName(key, hash string) string {
	return filepath.Join(c.Dir, key+"-"+hash+imageSuffix)
}

// WriteFile makes an image in a file, which appears when it is complete.
func WriteFile(name string, tree *rootfs.Tree) (size int64, err error) {
	if st, err := os.Stat(name); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		// Renamed onto a device, the image would take its place in /dev.
		return 0, &fs.PathError{Op: "write", Path: name, Err: errors.New("not a regular file")}
	}
	err = replaceFile(name, 0o644, func(f *os.File) error {
		if err := Write(f, tree); err != nil {
			return err
		}
		st, err := f.Stat()
		if err == nil {
			size = st.Size()
		}
		return err
	})
	return size, err
}

// replaceFile writes a file under another name and renames it; nothing is left
// behind when that fails.
func replaceFile(name string, perm os.FileMode, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Chmod(perm)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name()) //nolint:errcheck // the first error is the one to tell
	}
	return err
}

// Put keeps a small file that is named by its content, and gives its path.
func (c *Cache) Put(prefix, suffix string, content []byte) (string, error) {
	sum := sha256.Sum256(content)
	name := filepath.Join(c.Dir, prefix+hex.EncodeToString(sum[:8])+suffix)
	if st, err := os.Stat(name); err == nil && st.Size() == int64(len(content)) {
		return name, nil
	}
	return name, replaceFile(name, 0o644, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}

// prune removes the images that were not used for the longest time until the
// others are no more than limit bytes, and temporary files that were left by a
// tool that was killed.
func (c *Cache) prune(limit int64) {
	files, err := os.ReadDir(c.Dir)
	if err != nil {
		return
	}
	type used struct {
		name string
		size int64
		when time.Time
	}
	var images []used
	var total int64
	for _, f := range files {
		st, err := f.Info()
		if err != nil {
			continue
		}
		name := f.Name()
		switch {
		case strings.HasPrefix(name, "."):
			if time.Since(st.ModTime()) > time.Hour {
				os.Remove(filepath.Join(c.Dir, name)) //nolint:errcheck // next time
			}
		case strings.HasSuffix(name, imageSuffix):
			images = append(images, used{name, st.Size(), st.ModTime()})
			total += st.Size()
		}
	}
	sort.Slice(images, func(i, j int) bool { return images[i].when.Before(images[j].when) })
	for _, m := range images {
		if total <= limit || time.Since(m.when) < graceTime {
			return
		}
		total -= m.size
		key, _, _ := strings.Cut(m.name, "-")
		os.Remove(filepath.Join(c.Dir, key+listSuffix)) //nolint:errcheck // at worst an image is made again
		os.Remove(filepath.Join(c.Dir, m.name))         //nolint:errcheck // next time
	}
}

// ErrList is a damaged list of files.
var ErrList = errors.New("damaged list of files")

// listHead is what a list says of its image.
type listHead struct {
	note, hash string
	size       int64
}

// appendList writes a list of files: a first line, the image's size and hash,
// the note, then one line a file.
func appendList(b []byte, stamps map[string]rootfs.Stamp, h listHead) []byte {
	b = fmt.Appendf(b, "%s\n%d %s\n%q\n", listMagic, h.size, h.hash, h.note)
	names := make([]string, 0, len(stamps))
	for n := range stamps {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		s := stamps[n]
		b = strconv.AppendInt(b, s.Size, 10)
		b = strconv.AppendInt(append(b, ' '), s.MtimeNs, 10)
		b = strconv.AppendUint(append(b, ' '), s.Ino, 10)
		b = strconv.AppendUint(append(b, ' '), uint64(s.Mode), 8)
		b = strconv.AppendQuote(append(b, ' '), n)
		b = append(b, '\n')
	}
	return b
}

func readList(r io.Reader) (stamps map[string]rootfs.Stamp, h listHead, err error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	line := func() string {
		sc.Scan()
		return sc.Text()
	}
	if line() != listMagic {
		return nil, h, ErrList
	}
	size, hash, ok := strings.Cut(line(), " ")
	h.hash = hash
	var e1, e2 error
	h.size, e1 = strconv.ParseInt(size, 10, 64)
	h.note, e2 = strconv.Unquote(line())
	if !ok || e1 != nil || e2 != nil || strings.Contains(hash, "/") {
		return nil, h, ErrList
	}
	stamps = map[string]rootfs.Stamp{}
	for sc.Scan() {
		w := strings.SplitN(sc.Text(), " ", 5)
		if len(w) != 5 {
			return nil, h, ErrList
		}
		var s rootfs.Stamp
		var errs [5]error
		var mode uint64
		var name string
		s.Size, errs[0] = strconv.ParseInt(w[0], 10, 64)
		s.MtimeNs, errs[1] = strconv.ParseInt(w[1], 10, 64)
		s.Ino, errs[2] = strconv.ParseUint(w[2], 10, 64)
		mode, errs[3] = strconv.ParseUint(w[3], 8, 32)
		name, errs[4] = strconv.Unquote(w[4])
		if errors.Join(errs[:]...) != nil {
			return nil, h, ErrList
		}
		s.Mode = uint32(mode)
		stamps[name] = s
	}
	return stamps, h, sc.Err()
}
