//go:build !metal

package goport

import (
	"sync"
	"time"

	"gosv/kernel/cpu"
)

// An Interrupt is what a driver's goroutine waits for. On the host it is raised
// by a timer or by a test.
type Interrupt struct{ ch chan struct{} }

func newInterrupt() *Interrupt { return &Interrupt{make(chan struct{}, 1)} }

// Wait returns once for one or more interrupts since the last Wait.
func (i *Interrupt) Wait() { <-i.ch }

// Raise makes the interrupt happen.
func (i *Interrupt) Raise() {
	select {
	case i.ch <- struct{}{}:
	default:
	}
}

// NewInterrupt returns an interrupt that only Raise makes happen.
func NewInterrupt(gsi int, level bool) (*Interrupt, error) { return newInterrupt(), nil }

// NewMSI returns an interrupt that only Raise makes happen.
func NewMSI() (irq *Interrupt, addr uint64, data uint32, err error) {
	return newInterrupt(), 0, 0, nil
}

var hostTimer = struct {
	mu  sync.Mutex
	irq *Interrupt
	t   *time.Timer
}{irq: newInterrupt()}

// TimerInterrupt is the interrupt of SetTimer.
func TimerInterrupt() *Interrupt { return hostTimer.irq }

// SetTimer raises TimerInterrupt at the time at, on cpu.Nanotime's clock; 0
// cancels.
func SetTimer(at int64) {
	hostTimer.mu.Lock()
	defer hostTimer.mu.Unlock()
	if hostTimer.t != nil {
		hostTimer.t.Stop()
	}
	if at != 0 {
		hostTimer.t = time.AfterFunc(time.Duration(at-cpu.Nanotime()), hostTimer.irq.Raise)
	}
}

// PollInterrupts does nothing on the host.
func PollInterrupts() {}

// SetName does nothing on the host.
func (i *Interrupt) SetName(string) {}

// Interrupts returns what a machine could: a timer.
func Interrupts() []InterruptCount {
	return []InterruptCount{{Kind: InterruptTimer, Line: -1, Counts: make([]uint64, cpu.NumCPU())}}
}

// HeapBytes is how much memory the Go heap has; on the host nobody asks.
func HeapBytes() uint64 { return 0 }
