//go:build metal

package cpu

// The debug registers of ring 3. They stay in the CPU while the kernel runs, which ignores what they cause there
// (debugTrap), until another Context gets the CPU.

// debugClear is DR6 with nothing in it.
const debugClear = 0xffff0ff0

// debugSwitch gives the CPU the debug registers of x, if it uses them.
//
//go:nosplit
func debugSwitch(c *CPU, x *Context) {
	if x.Debug.Control == 0 {
		writeDR7(0)
		c.debug = 0
		return
	}
	writeDR(&x.Debug)
	c.debug = 1
}

// SaveDebug notes what caused the debug exception that was just taken in ring 3.
//
//go:nosplit
func (x *Context) SaveDebug() {
	x.Debug.Status = (readDR6() ^ debugClear) & (DebugStep | 0xf)
	writeDR6(debugClear)
}
