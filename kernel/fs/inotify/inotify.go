// Package inotify is inotify(7): a descriptor from which events of files and directories are read.
//
// Lock order: Instance.mu is taken under the locks of the tree; watches are added and removed without it.
package inotify

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/frame"
	"gosv/kernel/mm"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Name is what /proc/PID/fd shows.
const Name = "anon_inode:inotify"

// Limits. They are of the machine, not of a user.
var (
	maxEvents    sysctl.Int32 = 16384 // max_queued_events
	maxInstances sysctl.Int32 = 128   // max_user_instances
	maxWatches   sysctl.Int32         // max_user_watches; 0 is what the memory allows for
)

var sysctls = [...]sysctl.Row{
	{Name: "fs.inotify.max_queued_events", Value: &sysctl.Int{Var: &maxEvents, Max: math.MaxInt32}},
	{Name: "fs.inotify.max_user_instances", Value: &sysctl.Int{Var: &maxInstances, Max: math.MaxInt32}},
	{Name: "fs.inotify.max_user_watches", Value: &sysctl.Int{Get: func(int) int32 { return mostWatches() }, Set: setMostWatches, Max: math.MaxInt32}},
}

func init() { sysctl.Register(sysctls[:]) }

// mostWatches is how many watches a user may have: they may take a hundredth of the memory (inotify_user_setup in
// fs/notify/inotify/inotify_user.c).
func mostWatches() int32 {
	if n := maxWatches.Load(); n != 0 {
		return n - 1
	}
	return int32(min(max(frame.Total()*frame.Size/100/watchCost, 8192), 1<<20))
}

func setMostWatches(_ int, n int32) error {
	maxWatches.Store(min(n, math.MaxInt32-1) + 1)
	return nil
}

// headerSize is the size of struct inotify_event without the name, to a multiple
// of which the name is padded.
const headerSize = 16

// Instance is the object behind a descriptor.
type Instance struct {
	vfs.FileDefaults
	user  *vfs.User // who made it: it counts there, with its watches
	queue wait.Queue

	// addMu lets one watch be added or removed at a time.
	addMu sync.Mutex

	// mu guards what follows.
	mu      sync.Mutex
	events  []event
	bytes   int // of events, as read
	byInode map[vfs.Inode]*watch
	byID    map[int32]*watch
	last    int32
}

type event struct {
	wd           int32
	mask, cookie uint32
	name         string
}

func (e *event) size() int {
	if e.name == "" {
		return headerSize
	}
	return headerSize + (len(e.name)+headerSize)/headerSize*headerSize
}

type watch struct {
	vfs.Watch
	i    *Instance
	wd   int32
	mask uint32
	key  vfs.Inode
}

// New makes an instance of a user: EMFILE.
func New(uid uint32) (*Instance, error) {
	u := vfs.UserOf(uid)
	if u.Inotifies.Add(1) > int64(maxInstances.Load()) {
		u.Inotifies.Add(-1)
		u.Release()
		return nil, unix.EMFILE
	}
	return &Instance{user: u, byInode: make(map[vfs.Inode]*watch), byID: make(map[int32]*watch)}, nil
}

// Of returns the instance behind a file, nil if it is none.
func Of(f *vfs.File) *Instance {
	i, _ := f.Impl().(*Instance)
	return i
}

// The bits of a mask that are events, and those that say how to watch.
const (
	allEvents = unix.IN_ALL_EVENTS
	how       = unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_EXCL_UNLINK | unix.IN_MASK_CREATE | unix.IN_MASK_ADD | unix.IN_ONESHOT
)

// Add is inotify_add_watch(2). EINVAL, EEXIST, ENOSPC, and those of the path.
func (i *Instance) Add(fs *vfs.FSContext, c vfs.Caller, path string, mask uint32) (wd int32, err error) {
	if mask&(allEvents|how|unix.IN_UNMOUNT|unix.IN_Q_OVERFLOW|unix.IN_IGNORED|unix.IN_ISDIR) == 0 || mask&(unix.IN_MASK_ADD|unix.IN_MASK_CREATE) == unix.IN_MASK_ADD|unix.IN_MASK_CREATE {
		return 0, unix.EINVAL
	}
	flags := 0
	if mask&unix.IN_DONT_FOLLOW != 0 {
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	i.addMu.Lock()
	defer i.addMu.Unlock()
	err = fs.Watch(c, path, flags, mask&unix.IN_ONLYDIR != 0, func(n vfs.Inode) (*vfs.Watch, error) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if w := i.byInode[n]; w != nil {
			if mask&unix.IN_MASK_CREATE != 0 {
				return nil, unix.EEXIST
			}
			if mask&unix.IN_MASK_ADD != 0 {
				mask |= w.mask
			}
			w.setMask(mask)
			wd = w.wd
			return nil, nil
		}
		if i.user.Watches.Add(1) > int64(mostWatches()) {
			i.user.Watches.Add(-1)
			return nil, unix.ENOSPC
		}
		i.last++
		w := &watch{i: i, wd: i.last, key: n}
		w.setMask(mask)
		w.Notify = w.notify
		i.byInode[n], i.byID[w.wd] = w, w
		wd = w.wd
		return &w.Watch, nil
	})
	return wd, err
}

// setMask sets what the watch is told of; mu is held.
func (w *watch) setMask(mask uint32) {
	w.mask = mask
	w.ExclUnlink.Store(mask&unix.IN_EXCL_UNLINK != 0)
}

// Remove is inotify_rm_watch(2): EINVAL.
func (i *Instance) Remove(wd int32) error {
	i.addMu.Lock()
	defer i.addMu.Unlock()
	i.mu.Lock()
	w := i.byID[wd]
	if w != nil {
		i.drop(w)
	}
	i.mu.Unlock()
	if w == nil {
		return unix.EINVAL
	}
	w.Watch.Remove()
	return nil
}

// drop takes a watch out of the maps and says so. mu is held.
func (i *Instance) drop(w *watch) {
	delete(i.byID, w.wd)
	delete(i.byInode, w.key)
	i.user.Watches.Add(-1)
	i.add(event{wd: w.wd, mask: unix.IN_IGNORED})
}

// Held implements vfs.Holder.
func (i *Instance) Held() int64 {
	if !i.mu.TryLock() {
		return 0
	}
	defer i.mu.Unlock()
	return int64(len(i.byID))*watchCost + int64(len(i.events))*eventCost + int64(i.bytes)
}

// What a watch takes with its entries in the maps and in the inode, and an event without its name, about.
const (
	watchCost = 512
	eventCost = 32
)

// notify is told by the tree.
func (w *watch) notify(mask, cookie uint32, name string) {
	i := w.i
	i.mu.Lock()
	gone := mask&(unix.IN_DELETE_SELF|unix.IN_UNMOUNT) != 0
	wanted := mask&(w.mask&allEvents|unix.IN_UNMOUNT) != 0
	if i.byID[w.wd] != w || !wanted && !gone {
		i.mu.Unlock()
		return
	}
	if wanted {
		i.add(event{w.wd, mask, cookie, name})
		gone = gone || w.mask&unix.IN_ONESHOT != 0
	}
	if gone {
		i.drop(w)
	}
	i.mu.Unlock()
	if gone {
		// Not here, under the locks of the tree.
		go w.Watch.Remove()
	}
}

// merges reports whether the event o, which comes next, says nothing new. The cookie does not count, as on Linux.
func (e *event) merges(o *event) bool {
	return e.mask&unix.IN_IGNORED == 0 && e.mask == o.mask && e.wd == o.wd && e.name == o.name
}

// add queues an event, unless it is the same as the last one. mu is held.
func (i *Instance) add(e event) {
	n := len(i.events)
	switch {
	case n > 0 && i.events[n-1].merges(&e):
		return
	case n >= int(maxEvents.Load()):
		if n > 0 && i.events[n-1].mask&unix.IN_Q_OVERFLOW != 0 {
			return
		}
		e = event{wd: -1, mask: unix.IN_Q_OVERFLOW}
	}
	i.events = append(i.events, e)
	i.bytes += e.size()
	i.queue.Notify(wait.Readable)
}

// Read gives whole events; EINVAL if there is no room for the next.
func (i *Instance) Read(_ *vfs.File, dst *mm.Buf, _ int64) (int64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	total, taken := 0, 0
	var err error
	for _, e := range i.events {
		n := e.size()
		if dst.Len() < n {
			err = unix.EINVAL
			break
		}
		b := make([]byte, n)
		le := binary.LittleEndian
		le.PutUint32(b[0:], uint32(e.wd))
		le.PutUint32(b[4:], e.mask)
		le.PutUint32(b[8:], e.cookie)
		le.PutUint32(b[12:], uint32(n-headerSize))
		copy(b[headerSize:], e.name)
		if _, err = dst.CopyTo(b); err != nil {
			break
		}
		total += n
		taken++
	}
	clear(i.events[:taken]) // the names
	if i.events = i.events[taken:]; len(i.events) == 0 {
		i.events = nil
	}
	i.bytes -= total
	switch {
	case taken > 0:
		return int64(total), nil
	case err == nil:
		err = unix.EAGAIN
	}
	return 0, err
}

func (i *Instance) Readiness() wait.Events {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.events) > 0 {
		return wait.Readable
	}
	return 0
}

func (i *Instance) Queue() *wait.Queue { return &i.queue }

// Async implements vfs.Asyncer.
func (i *Instance) Async() {}

// Ioctl knows FIONREAD.
func (i *Instance) Ioctl(as *mm.AddressSpace, cmd uint32, arg uint64) (uint64, error) {
	if cmd != unix.TIOCINQ {
		return 0, unix.ENOTTY
	}
	i.mu.Lock()
	n := i.bytes
	i.mu.Unlock()
	return 0, as.Store32(arg, uint32(n))
}

// Release ends all watches.
func (i *Instance) Release() {
	i.addMu.Lock()
	defer i.addMu.Unlock()
	i.mu.Lock()
	all := i.byID
	i.byID, i.byInode, i.events = nil, nil, nil
	i.mu.Unlock()
	for _, w := range all {
		w.Watch.Remove()
		i.user.Watches.Add(-1)
	}
	i.user.Inotifies.Add(-1)
	i.user.Release()
}

// FDInfo appends what /proc/PID/fdinfo shows: the latest watch first.
func (i *Instance) FDInfo(b []byte) []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, wd := range slices.Backward(slices.Sorted(maps.Keys(i.byID))) {
		w := i.byID[wd]
		var st vfs.Stat
		w.Stat(&st) //nolint:errcheck // it shows zeros then
		b = strconv.AppendInt(append(b, "inotify wd:"...), int64(wd), 16)
		b = strconv.AppendUint(append(b, " ino:"...), st.Ino, 16)
		b = strconv.AppendUint(append(b, " sdev:"...), uint64(unix.Major(st.Dev))<<20|uint64(unix.Minor(st.Dev)), 16)
		b = strconv.AppendUint(append(b, " mask:"...), uint64(w.mask&(allEvents|unix.IN_EXCL_UNLINK|unix.IN_ONESHOT)), 16)
		b = append(b, " ignored_mask:0 "...)
		if h, err := w.Handle(); err == nil {
			b = strconv.AppendInt(append(b, "fhandle-bytes:"...), int64(len(h.Bytes)), 16)
			b = strconv.AppendInt(append(b, " fhandle-type:"...), int64(h.Type), 16)
			b = append(b, " f_handle:"...)
			for _, v := range h.Bytes {
				b = append(b, "0123456789abcdef"[v>>4], "0123456789abcdef"[v&15])
			}
		}
		b = append(b, '\n')
	}
	return b
}
