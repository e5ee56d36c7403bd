package task

import (
	"sync"

	"gosv/kernel/wait"
)

// vforkWait is a parent's wait in vfork(2): the child has the parent's memory
// until the child runs another program or ends.
type vforkWait struct {
	parent *Thread
	mu     sync.Mutex
	done   bool
}

// wait blocks the parent until the child gives the memory back. Signals wait
// until then, unless they end the process: then wait returns false, and the child
// goes on in the memory, which it keeps (wait_for_vfork_done in Linux's
// kernel/fork.c).
func (v *vforkWait) wait() bool {
	t := v.parent
	for {
		t.Clear()
		v.mu.Lock()
		done := v.done
		v.mu.Unlock()
		if done || t.SleepKillable(0) == wait.Interrupted {
			return done
		}
	}
}

// endVfork lets the parent of a vfork go on. The parent is woken with mu held, so
// that no wake-up comes late and ends another wait.
func (t *Thread) endVfork() {
	if v := t.vfork.Swap(nil); v != nil {
		v.mu.Lock()
		v.done = true
		v.parent.Wake()
		v.mu.Unlock()
	}
}
