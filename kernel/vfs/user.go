package vfs

import (
	"sync"
	"sync/atomic"
)

// A User is what the processes of a user have together, where a limit counts that (struct user_struct of Linux).
type User struct {
	UID        uint32
	PipePages  atomic.Int64 // pages that pipes may fill (fs.pipe-user-pages-soft and -hard)
	EpollItems atomic.Int64 // files that epoll instances watch (fs.epoll.max_user_watches)
	Inotifies  atomic.Int64 // inotify instances (fs.inotify.max_user_instances)
	Watches    atomic.Int64 // and their watches (fs.inotify.max_user_watches)
	QueueBytes atomic.Int64 // that POSIX message queues may take (RLIMIT_MSGQUEUE)
	refs       int          // guarded by users.mu
}

var users struct {
	mu sync.Mutex
	m  map[uint32]*User
}

// UserOf returns the user of an ID, which the caller lets go of with Release.
func UserOf(uid uint32) *User {
	users.mu.Lock()
	defer users.mu.Unlock()
	u := users.m[uid]
	if u == nil {
		if users.m == nil {
			users.m = make(map[uint32]*User)
		}
		u = &User{UID: uid}
		users.m[uid] = u
	}
	u.refs++
	return u
}

// Release lets go of a user; one that nothing refers to has nothing to count.
func (u *User) Release() {
	users.mu.Lock()
	if u.refs--; u.refs == 0 {
		delete(users.m, u.UID)
	}
	users.mu.Unlock()
}
