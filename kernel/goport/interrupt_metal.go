//go:build metal

package goport

import (
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"gosv/kernel/cpu"
)

// An Interrupt is a source of wake-ups for one goroutine. What arrives while nobody waits is remembered, once.
//
// An interrupt handler only sets the bit of its slot. PollInterrupts turns bits into runnable goroutines: a thread's
// loop calls it when ring 3 was interrupted, and a goroutine that blocks in the netpoller does when kernel code was.
type Interrupt struct {
	state  atomic.Uint32
	slot   uint32
	g      G
	pin    *pin // of an I/O APIC, nil: MSI or timer
	gsi    int  // of pin
	name   string
	masked atomic.Uint32
}

const (
	fired  = 1 << iota // since the last Wait returned
	parked             // g waits
)

// ErrNoInterrupt says that there is no such line, or that all vectors are taken.
var ErrNoInterrupt = errors.New("goport: no interrupt vector left, or no such line")

const (
	maxSlots  = 64
	timerSlot = 0
	watchSlot = 1
)

var (
	irqBits   uint64            // slots whose interrupt came
	slotTab   [maxSlots]uintptr // *Interrupt, kept alive by slotOwner
	slotOwner [maxSlots]*Interrupt
	vectorTab [256]uint32     // slot plus one
	slotMu    sync.Mutex      // guards the allocation of slots
	slots     uint32      = 2 // used so far
	timerIRQ  Interrupt       // slot timerSlot
	startOnce sync.Once
)

// Wait blocks until the interrupt has come, since the last Wait if there was one; several are taken as one. A level
// triggered line is masked from the interrupt until the next Wait.
func (i *Interrupt) Wait() {
	if i.masked.Load() != 0 {
		i.masked.Store(0)
		i.pin.mask(false)
	}
	for i.state.And(^uint32(fired))&fired == 0 {
		Park(commitWait, unsafe.Pointer(i))
	}
}

// commitWait runs on the scheduler's stack.
//
//go:nosplit
func commitWait(g G, arg unsafe.Pointer) bool {
	i := (*Interrupt)(arg)
	i.g = g
	for {
		old := i.state.Load()
		if old&fired != 0 {
			return false
		}
		if i.state.CompareAndSwap(old, old|parked) {
			return true
		}
	}
}

// deliver makes the waiting goroutine runnable; it runs in goroutine context.
func (i *Interrupt) deliver() {
	if i == &watchIRQ {
		wakeSysmon()
		return
	}
	for {
		old := i.state.Load()
		if i.state.CompareAndSwap(old, (old|fired)&^parked) {
			if old&parked != 0 {
				Ready(i.g)
			}
			return
		}
	}
}

// PollInterrupts makes the goroutines runnable whose interrupts have come.
func PollInterrupts() {
	if atomic.LoadUint32(&cpu.IRQPending) == 0 {
		return
	}
	atomic.StoreUint32(&cpu.IRQPending, 0)
	for w := atomic.SwapUint64(&irqBits, 0); w != 0; w &= w - 1 {
		if i := slotOwner[bits.TrailingZeros64(w)]; i != nil {
			i.deliver()
		}
	}
}

// raise notes that the interrupt of a slot has come.
//
//go:nosplit
func raise(slot uint32) {
	atomic.OrUint64(&irqBits, 1<<(slot&63))
	atomic.StoreUint32(&cpu.IRQPending, 1)
}

// ipiCount is the place of inter-processor interrupts in irqCounts, which the
// dispatcher's slot does not need.
const ipiCount = watchSlot

// irqCounts is how often each CPU took the interrupt of each slot.
var irqCounts [cpu.MaxCPUs][maxSlots]uint64

//go:nosplit
func countIRQ(c *cpu.CPU, slot uint32) { irqCounts[c.Index&(cpu.MaxCPUs-1)][slot&(maxSlots-1)]++ }

// SetName says which device has the interrupt, for Interrupts.
func (i *Interrupt) SetName(name string) { i.name = name }

// Interrupts returns the counts of all interrupts since the boot.
func Interrupts() []InterruptCount {
	slotMu.Lock()
	defer slotMu.Unlock()
	list := make([]InterruptCount, 0, slots)
	for slot := range slots {
		c := InterruptCount{Line: -1, Counts: make([]uint64, cpu.NumCPU())}
		for i := range c.Counts {
			c.Counts[i] = atomic.LoadUint64(&irqCounts[i][slot])
		}
		switch i := slotOwner[slot]; {
		case slot == timerSlot:
			c.Kind = InterruptTimer
		case slot == ipiCount:
			c.Kind = InterruptIPI
		case i.pin != nil:
			c.Kind, c.Line, c.Level, c.Name = InterruptPin, i.gsi, i.pin.level, i.name
		default:
			c.Kind, c.Name = InterruptMSI, i.name
		}
		list = append(list, c)
	}
	return list
}

// deviceIRQ is the handler of all device vectors.
//
//go:nosplit
func deviceIRQ(c *cpu.CPU, vec uint64) {
	if n := vectorTab[vec&0xff]; n != 0 {
		countIRQ(c, n-1)
		if i := (*Interrupt)(unsafe.Pointer(slotTab[n-1])); i.pin != nil && i.pin.level {
			i.pin.mask(true)
			i.masked.Store(1)
		}
		raise(n - 1)
	} else if vec == cpu.VecSpurious {
		return
	}
	cpu.EOI()
}

// newSlot registers i for the vector that it allocates.
func newSlot(i *Interrupt) (vec uint32, err error) {
	startDispatcher()
	slotMu.Lock()
	defer slotMu.Unlock()
	if slots == maxSlots {
		return 0, ErrNoInterrupt
	}
	if vec = cpu.AllocVector(); vec == 0 {
		return 0, ErrNoInterrupt
	}
	i.slot = slots
	slots++
	slotOwner[i.slot] = i
	slotTab[i.slot] = uintptr(unsafe.Pointer(i))
	vectorTab[vec] = i.slot + 1
	return vec, nil
}

// NewInterrupt returns the interrupt of a global system interrupt: a pin of an I/O APIC. ISA interrupts are given by
// their number; the firmware's overrides are applied to those below 16 that it names.
func NewInterrupt(gsi int, level bool) (*Interrupt, error) {
	i := new(Interrupt)
	p := findPin(uint32(gsi), level)
	if p == nil {
		return nil, ErrNoInterrupt
	}
	i.pin, i.gsi = p, gsi
	vec, err := newSlot(i)
	if err != nil {
		return nil, err
	}
	p.vector = vec
	p.route()
	return i, nil
}

// NewMSI returns a message-signalled interrupt: the device is to write data to addr (Intel SDM volume 3, section 10.11).
func NewMSI() (irq *Interrupt, addr uint64, data uint32, err error) {
	i := new(Interrupt)
	vec, err := newSlot(i)
	if err != nil {
		return nil, 0, 0, err
	}
	return i, 0xfee00000 | uint64(cpu.ByIndex(0).APICID&0xff)<<12, vec, nil
}

// TimerInterrupt is what SetTimer raises.
func TimerInterrupt() *Interrupt {
	startDispatcher()
	slotOwner[timerSlot] = &timerIRQ
	slotTab[timerSlot] = uintptr(unsafe.Pointer(&timerIRQ))
	return &timerIRQ
}

// SetTimer raises TimerInterrupt once at the time at, on cpu.Nanotime's clock; 0 cancels.
func SetTimer(at int64) {
	f := cpu.InterruptSave()
	lockSched()
	timer.at = at
	if at != 0 {
		c := cpu.This()
		timer.owner = c.Index
		mine(c).arm(cpu.Nanotime())
	}
	unlockSched()
	cpu.InterruptRestore(f)
}

// startDispatcher starts the goroutine that the netpoller wakes for interrupts that came in kernel code.
func startDispatcher() {
	startOnce.Do(func() {
		startWatch()
		go dispatch()
	})
}

func init() {
	cpu.Mark("runtime")
	startDispatcher()
}

func dispatch() {
	pollServerInit()
	pd, errno := pollOpen(fdIRQ)
	if errno != 0 {
		cpu.Fatal("the netpoller does not take the interrupt file")
	}
	for {
		pollReset(pd, 'r')
		PollInterrupts()
		pollWait(pd, 'r')
		PollInterrupts()
	}
}

// The runtime's side of internal/poll.

//go:linkname pollServerInit internal/poll.runtime_pollServerInit
func pollServerInit()

//go:linkname pollOpen internal/poll.runtime_pollOpen
func pollOpen(fd uintptr) (uintptr, int)

//go:linkname pollReset internal/poll.runtime_pollReset
func pollReset(pd uintptr, mode int) int

//go:linkname pollWait internal/poll.runtime_pollWait
func pollWait(pd uintptr, mode int) int
