package net

import (
	"sync"

	"gosv/kernel/wait"
)

// mailbox passes values to one goroutine. Values that do not fit are dropped.
type mailbox[T any] struct {
	mu    sync.Mutex // guards values
	list  []T
	sleep wait.Sleeper
}

const mailboxSize = 64

func (m *mailbox[T]) put(v T) {
	m.mu.Lock()
	if len(m.list) < mailboxSize {
		m.list = append(m.list, v)
	}
	m.mu.Unlock()
	m.sleep.Wake()
}

// get waits for a value until the deadline, a time on cpu.Nanotime's clock; 0 is
// no deadline.
func (m *mailbox[T]) get(deadline int64) (v T, ok bool) {
	for {
		m.mu.Lock()
		if len(m.list) > 0 {
			v = m.list[0]
			m.list = m.list[1:]
			m.mu.Unlock()
			return v, true
		}
		m.mu.Unlock()
		if m.sleep.SleepUninterruptible(deadline) == wait.TimedOut {
			return v, false
		}
	}
}
