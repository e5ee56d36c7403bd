//go:build metal

package cpu

// Power is how this machine is switched off; goport's boot fills it in from ACPI. The zero value works too: then the machine is
// reset, and QEMU is told not to reboot.
var Power struct {
	PM1a     uint16  // port of the PM1a control register
	SleepReg uintptr // mapped address of the sleep control register of hardware-reduced ACPI
	S5       uint8   // what to write there for soft off
}

// PowerOff ends the machine. The status is for QEMU's isa-debug-exit, if there is one; everybody else reads the report
// on COM1.
//
//go:nosplit
func PowerOff(status int) {
	InterruptSave()
	for n := 0; Inb(com1+5)&0x40 == 0 && n < 1e7; n++ { // transmitter empty
		Pause()
	}
	Outb(0xf4, uint8(status))
	if Power.SleepReg != 0 {
		Store8(Power.SleepReg, Power.S5<<2|1<<5)
	}
	if Power.PM1a != 0 {
		Outw(Power.PM1a, uint16(Power.S5)<<10|1<<13)
	}
	if Power.SleepReg != 0 || Power.PM1a != 0 {
		SpinWait(50e6) // it may take effect later
	}
	Outb(0x64, 0xfe) // the keyboard controller's reset line
	tripleFault()
}
