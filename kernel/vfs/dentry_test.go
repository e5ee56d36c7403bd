package vfs

import (
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

// people is a Directory whose names come and go.
type people map[string]Inode

func (p people) Lookup(_ Caller, name string) (Inode, error) {
	if n := p[name]; n != nil {
		return n, nil
	}
	return nil, unix.ENOENT
}

func (people) Names(Caller, int64, func(int64, string, uint64, uint8) bool) error { return nil }

// peopleDir tells who is gone.
type peopleDir struct {
	*DynamicDir
	gone []string
}

func (d *peopleDir) Gone() []string {
	gone := d.gone
	d.gone = nil
	return gone
}

// What is cached of a name goes with it, and nothing else does.
func TestForgetter(t *testing.T) {
	all := people{}
	top := &peopleDir{DynamicDir: NewDynamicDir(0o555, all)}
	sb := newSuperblock(&SynthFS{Name: "test", Top: top, IsVolatile: true})
	look := func(path ...string) error {
		d := sb.root
		for _, name := range path {
			var err error
			if d, err = d.child(Kernel(), name, false); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range []string{"1", "2", "3"} {
		d := NewStaticDir(0o555)
		d.Subdir("a").Add("b", NewReadOnlyFile(func() []byte { return nil }))
		all[name] = d
		if err := look(name, "a", "b"); err != nil {
			t.Fatal(err)
		}
	}
	cached := func(want int64) {
		t.Helper()
		if n := sb.cached.Load(); n != want {
			t.Errorf("%d names are cached, want %d", n, want)
		}
	}
	cached(9)
	delete(all, "1")
	top.gone = []string{"1", "none"}
	if err := look("2"); err != nil {
		t.Error(err)
	}
	cached(6)
	delete(all, "2")
	if err := look("2"); err != unix.ENOENT {
		t.Error(err)
	}
	cached(3)
	if err := look("3", "a", "b"); err != nil || sb.root.children["3"] == nil || len(sb.root.children) != 1 {
		t.Errorf("%v, %d names", err, len(sb.root.children))
	}
}

// A tree as deep as a program likes is dropped on a small stack, and looked at once in as many operations as it has names.
func TestDeepTree(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(256 << 10))
	const depth = 50000
	sb := newSuperblock(&SynthFS{Name: "test", Top: NewStaticDir(0o555)})
	sb.pruning.Store(true) // the test itself prunes
	deep := func() *Dentry {
		d := sb.root
		for range depth {
			ch := newDentry(sb, d, "d", NewStaticDir(0o555))
			d.insert("d", ch)
			d.insert("n", negative)
			d = ch
		}
		return d
	}
	m := &Mount{sb: sb, root: sb.root}
	sb.mounts = 1
	sb.root.pins.Add(1)

	bottom := deep()
	bottom.pins.Add(1)
	if !m.busy() {
		t.Error("the mount is not busy while its deepest directory is used")
	}
	sb.prune()
	if n := sb.cached.Load(); n != depth {
		t.Errorf("%d names are left, want %d: those above the directory in use", n, depth)
	}
	walked := sb.overdue.Load()
	for range 100 {
		sb.prune()
	}
	if n := sb.overdue.Load(); n != walked+100 {
		t.Errorf("a prune that can drop nothing is repeated: %d", n-walked)
	}
	bottom.pins.Add(-1)
	if m.busy() {
		t.Error("busy without anybody who uses it")
	}
	for range 2 * depth {
		sb.prune()
	}
	if n := sb.cached.Load(); n > maxDentries {
		t.Errorf("%d names are left of those that nobody uses", n)
	}
	deep()
	sb.root.mu.Lock()
	sb.root.forgetBelow("d")
	sb.root.mu.Unlock()
	if n := sb.cached.Load(); n > 1 {
		t.Errorf("%d names are left of what was forgotten", n)
	}
}
