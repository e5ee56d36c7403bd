//go:build !metal

package goport

import (
	"testing"
	"time"

	"gosv/kernel/cpu"
)

func TestInterrupt(t *testing.T) {
	i, err := NewInterrupt(5, false)
	if err != nil {
		t.Fatal(err)
	}
	i.Raise()
	i.Raise()
	i.Wait() // both at once
	n := make(chan int)
	go func() {
		for k := range 100 {
			i.Wait()
			n <- k
		}
	}()
	for k := range 100 {
		if k%2 == 0 {
			time.Sleep(time.Microsecond)
		}
		i.Raise()
		if got := <-n; got != k {
			t.Fatalf("wake-up %d, want %d", got, k)
		}
	}
}

func TestTimer(t *testing.T) {
	start := cpu.Nanotime()
	SetTimer(start + 5e6)
	TimerInterrupt().Wait()
	if d := cpu.Nanotime() - start; d < 5e6 {
		t.Errorf("timer fired after %d ns, want 5000000", d)
	}
	SetTimer(cpu.Nanotime() + 1e6)
	SetTimer(0)
	done := make(chan bool)
	go func() { TimerInterrupt().Wait(); close(done) }()
	select {
	case <-done:
		t.Error("a cancelled timer fired")
	case <-time.After(20 * time.Millisecond):
	}
	SetTimer(1)
	<-done
}
