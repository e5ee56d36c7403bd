// Package msg is System V message queues (msgget(2), msgop(2)).
package msg

import (
	"math"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
	"gosv/kernel/ipc"
	"gosv/kernel/sysctl"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Limits (proc_sys_kernel(5)).
var (
	MaxQueues  sysctl.Int32 = 1024  // msgmni; Linux starts with 32000
	MaxMessage sysctl.Int32 = 8192  // msgmax
	MaxBytes   sysctl.Int32 = 16384 // msgmnb
)

var sysctls = [...]sysctl.Row{
	{Name: "kernel.msgmni", Value: &sysctl.Int{Var: &MaxQueues, Max: ipc.MaxSlots}},
	{Name: "kernel.msgmax", Value: &sysctl.Int{Var: &MaxMessage, Max: math.MaxInt32}},
	{Name: "kernel.msgmnb", Value: &sysctl.Int{Var: &MaxBytes, Max: math.MaxInt32}},
}

func init() { sysctl.Register(sysctls[:]) }

// Flags of msgrcv(2).
const (
	NoError = 0o10000
	Except  = 0o20000
	Copy    = 0o40000
)

// Queues is all message queues.
var Queues = &ipc.Table[*Queue]{Max: &MaxQueues}

// A Queue is the messages of an identifier.
type Queue struct {
	mu      sync.Mutex
	perm    ipc.Perm
	list    []message
	removed bool
	st      Status
	changed wait.Queue
}

type message struct {
	kind int64
	text []byte
}

// messageCost is about what a message takes beside its text.
const messageCost = 64

// Status is the numbers of struct msqid_ds.
type Status struct {
	STime, RTime, CTime    int64
	Bytes, Count, MaxBytes uint64
	Sender, Receiver       int
}

// IPCPerm implements ipc.Object.
func (q *Queue) IPCPerm() *ipc.Perm { return &q.perm }

// Get is msgget(2).
func Get(c *vfs.Creds, key int32, flags uint32) (int, error) {
	return Queues.Get(c, key, flags, func(p ipc.Perm) (*Queue, error) {
		return &Queue{perm: p, st: Status{CTime: ipc.Now(), MaxBytes: uint64(MaxBytes.Load())}}, nil
	}, func(q *Queue) error {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.perm.Check(c, flags)
	})
}

// wait blocks until try does not return EAGAIN.
func (q *Queue) wait(s *wait.Sleeper, flags uint32, again error, try func() error) error {
	var err error
	attempt := func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.removed {
			err = unix.EIDRM
		} else {
			err = try()
		}
		return err != unix.EAGAIN
	}
	if flags&ipc.NoWait != 0 {
		if !attempt() {
			return again
		}
		return err
	}
	if vfs.WaitUntil(s, &q.changed, ^wait.Events(0), attempt) != nil {
		return unix.EINTR // never restarted (signal(7))
	}
	return err
}

// Send is msgsnd(2), which keeps text. EACCES, EAGAIN, EIDRM, EINTR, EINVAL.
func (q *Queue) Send(c *vfs.Creds, s *wait.Sleeper, pid int, kind int64, text []byte, flags uint32) error {
	if kind < 1 {
		return unix.EINVAL
	}
	err := q.wait(s, flags, unix.EAGAIN, func() error {
		if err := q.perm.Check(c, 0o222); err != nil {
			return err
		}
		if q.st.Bytes+uint64(len(text)) > q.st.MaxBytes || q.st.Count+1 > q.st.MaxBytes {
			return unix.EAGAIN
		}
		if !ipc.Take(len(text) + messageCost) {
			return unix.ENOMEM
		}
		q.list = append(q.list, message{kind, text})
		q.st.Bytes += uint64(len(text))
		q.st.Count++
		q.st.STime, q.st.Sender = ipc.Now(), pid
		return nil
	})
	if err == nil {
		q.changed.Notify(wait.In)
	}
	return err
}

// find returns the message that msgrcv's type asks for, -1 if there is none.
func (q *Queue) find(kind int64, flags uint32) int {
	if flags&Copy != 0 {
		if kind < 0 || kind >= int64(len(q.list)) {
			return -1
		}
		return int(kind)
	}
	best := -1
	for i, m := range q.list {
		switch {
		case kind == 0,
			kind > 0 && (m.kind == kind) == (flags&Except == 0):
			return i
		case kind < 0 && m.kind <= -kind && (best < 0 || m.kind < q.list[best].kind):
			best = i
		}
	}
	return best
}

// Receive is msgrcv(2): the message's type and its text, at most size bytes of it.
// E2BIG, EACCES, ENOMSG, EIDRM, EINTR.
func (q *Queue) Receive(c *vfs.Creds, s *wait.Sleeper, pid int, kind int64, size uint64, flags uint32) (got int64, text []byte, err error) {
	if flags&Copy != 0 && (flags&Except != 0 || flags&ipc.NoWait == 0) {
		return 0, nil, unix.EINVAL
	}
	if kind == -1<<63 {
		kind++
	}
	err = q.wait(s, flags, unix.ENOMSG, func() error {
		if err := q.perm.Check(c, 0o444); err != nil {
			return err
		}
		i := q.find(kind, flags)
		if i < 0 {
			return unix.EAGAIN
		}
		m := q.list[i]
		if uint64(len(m.text)) > size && flags&NoError == 0 {
			return unix.E2BIG
		}
		got, text = m.kind, m.text[:min(uint64(len(m.text)), size)]
		if flags&Copy != 0 {
			return nil
		}
		ipc.Give(len(m.text) + messageCost)
		q.list = slices.Delete(q.list, i, i+1)
		q.st.Bytes -= uint64(len(m.text))
		q.st.Count--
		q.st.RTime, q.st.Receiver = ipc.Now(), pid
		return nil
	})
	if err == nil && flags&Copy == 0 {
		q.changed.Notify(wait.Out)
	}
	return got, text, err
}

// Remove is IPC_RMID.
func (q *Queue) Remove(c *vfs.Creds) error {
	q.mu.Lock()
	if err := q.perm.MayChange(c); err != nil {
		q.mu.Unlock()
		return err
	}
	if q.removed {
		q.mu.Unlock()
		return unix.EIDRM
	}
	for _, m := range q.list {
		ipc.Give(len(m.text) + messageCost)
	}
	q.removed, q.list = true, nil
	q.mu.Unlock()
	Queues.Remove(q.perm.Key, q)
	q.changed.Notify(^wait.Events(0))
	return nil
}

// Set is IPC_SET; above the usual limit most needs CAP_SYS_RESOURCE.
func (q *Queue) Set(c *vfs.Creds, uid, gid, mode uint32, most uint64) error {
	q.mu.Lock()
	if err := q.perm.MayChange(c); err != nil {
		q.mu.Unlock()
		return err
	}
	if most > uint64(MaxBytes.Load()) && !c.Has(unix.CAP_SYS_RESOURCE) {
		q.mu.Unlock()
		return unix.EPERM
	}
	q.perm.Update(uid, gid, mode)
	q.st.MaxBytes, q.st.CTime = most, ipc.Now()
	q.mu.Unlock()
	q.changed.Notify(^wait.Events(0))
	return nil
}

// Snapshot is what IPC_STAT shows.
func (q *Queue) Snapshot() (ipc.Perm, Status) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.perm, q.st
}

// AppendList writes /proc/sysvipc/msg.
func AppendList(b []byte) []byte {
	b = append(b, "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n"...)
	all, _ := Queues.All()
	for _, q := range all {
		p, st := q.Snapshot()
		b = ipc.AppendPerm(b, &p)
		b = ipc.Column(append(b, "  "...), int64(st.Bytes), 10)
		b = ipc.Column(append(b, ' '), int64(st.Count), 10)
		b = ipc.Column(append(b, ' '), int64(st.Sender), 5)
		b = ipc.Column(append(b, ' '), int64(st.Receiver), 5)
		b = ipc.AppendOwners(b, &p)
		for _, t := range [...]int64{st.STime, st.RTime, st.CTime} {
			b = ipc.Column(append(b, ' '), t, 10)
		}
		b = append(b, '\n')
	}
	return b
}
