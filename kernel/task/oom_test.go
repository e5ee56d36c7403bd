package task

import (
	"testing"

	"gosv/kernel/mm"
)

// TestLeaving has the memory of a process that ends waited for, before another one is chosen.
func TestLeaving(t *testing.T) {
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
	check := func(what string, leaving, worst *Process) {
		t.Helper()
		if got := tab.leaving(asking); got != leaving {
			t.Errorf("%s: leaving is %v", what, got)
		}
		if got, asker := tab.worst(asking); got != worst || asker != asks {
			t.Errorf("%s: the worst is %v, %v asks", what, got, asker)
		}
	}
	check("all live", nil, large)
	large.oomKilled.Store(true)
	check("one is killed", large, large)
	large.exiting.Store(true)
	check("it ends", large, asks)
	large.threads = nil
	check("its memory is free", nil, asks)
	asks.exiting.Store(true)
	check("the one that asks ends", nil, small)
	other, err := mm.New()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	if !tab.killForMemory(other) || small.oomKilled.Load() {
		t.Error("somebody is killed while another one ends")
	}
}
