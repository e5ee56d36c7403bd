package task

import (
	"testing"
	"time"

	"gosv/kernel/mm"
)

// TestKillForMemory has the memory of a process that goes waited for before another one is chosen, and never waits for a process
// that waits itself.
func TestKillForMemory(t *testing.T) {
	tab := &Table{tasks: map[int]*Thread{}, procs: map[int]*Process{}}
	add := func(pid int, pages int) *Process {
		th := newThread(t)
		th.TID, th.Proc.PID = pid, pid
		if err := th.MM.CopyOut(base, make([]byte, pages<<12)); err != nil {
			t.Fatal(err)
		}
		tab.procs[pid] = th.Proc
		return th.Proc
	}
	small, large, asks := add(2, 1), add(3, 8), add(4, 2)
	asking := asks.threads[0].MM
	if tab.user(asking) != asks || tab.user(new(mm.AddressSpace)) != nil {
		t.Error("the user of an address space is another one")
	}
	check := func(what string, leaving, worst *Process) {
		t.Helper()
		if l, w := tab.leaving(), tab.worst(); l != leaving || w != worst {
			t.Errorf("%s: leaving is %v, the worst %v", what, l, w)
		}
	}
	check("all live", nil, large)
	large.oomKilled.Store(true)
	check("one is killed", large, large)
	large.exiting.Store(true)
	check("it ends", large, asks)
	if !tab.killForMemory(asking) || asks.oomKilled.Load() || small.oomKilled.Load() {
		t.Error("somebody is killed while another one ends")
	}
	large.threads = nil
	check("its memory is given back", large, asks)
	close(large.done)
	check("it is free", nil, asks)

	// The one that asks is killed while it waits for its turn.
	oomMu.Lock()
	answer := make(chan bool)
	go func() { answer <- tab.killForMemory(asking) }()
	time.Sleep(10 * time.Millisecond)
	asks.oomKilled.Store(true)
	if <-answer {
		t.Error("one that was killed is to try again")
	}
	oomMu.Unlock()
	if tab.killForMemory(asking) {
		t.Error("one that was killed is to try again, without others")
	}
}
