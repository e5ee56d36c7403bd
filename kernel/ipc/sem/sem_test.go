package sem

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"gosv/kernel/ipc"
	"gosv/kernel/vfs"
	"gosv/kernel/wait"
)

// Several threads pass one semaphore around; what SEM_UNDO promised comes back.
func TestOperate(t *testing.T) {
	c := &vfs.RootCreds
	id, err := Get(c, ipc.Private, 2, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Sets.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetValues(c, 1, 0, []int{1, 5}); err != nil {
		t.Fatal(err)
	}
	inside := 0
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var sleeper wait.Sleeper
			for range 200 {
				if err := s.Operate(c, &sleeper, nil, 2, []Op{{Num: 0, Op: -1}}, 0); err != nil {
					t.Error(err)
				}
				inside++
				if inside != 1 {
					t.Error("two are inside")
				}
				inside--
				if err := s.Operate(c, &sleeper, nil, 2, []Op{{Num: 0, Op: 1}}, 0); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	var sleeper wait.Sleeper
	owner := new(int)
	if err := s.Operate(c, &sleeper, owner, 3, []Op{{Num: 1, Op: -4, Flags: Undo}, {Num: 0, Op: 2, Flags: Undo}}, 0); err != nil {
		t.Fatal(err)
	}
	Exit(owner, 3)
	if v, _ := s.Values(c); v[0] != 1 || v[1] != 5 {
		t.Errorf("after the undo: %v", v)
	}
	if err := s.Operate(c, &sleeper, nil, 2, []Op{{Num: 1, Op: -1}, {Num: 0, Op: -2, Flags: ipc.NoWait}}, 0); err != unix.EAGAIN {
		t.Errorf("all or nothing: %v", err)
	}
	if v, _ := s.Values(c); v[1] != 5 {
		t.Errorf("half was done: %v", v)
	}
	if err := s.Remove(c); err != nil {
		t.Fatal(err)
	}
	if _, err := Sets.Find(id); err == nil {
		t.Error("it is still there")
	}
}
