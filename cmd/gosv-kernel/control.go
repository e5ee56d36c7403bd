//go:build metal

package main

import (
	"bytes"

	"golang.org/x/sys/unix"
	"gosv/abi/boot"
	"gosv/kernel/task"
	"gosv/kernel/tty"
	"gosv/kernel/wait"
)

// serveControl does what the host asks for on the control port, if the machine
// has one, until the host closes it. It runs beside the program, which has
// started: requests that came before are still in the port.
func serveControl(d *devices, console *tty.Console, init *task.Process) {
	if d.console == nil {
		return
	}
	port := d.console.Port(boot.PortControl)
	var s wait.Sleeper
	port.Queue().Add(&wait.Waiter{Notify: func(wait.Events) { s.Wake() }, Mask: wait.Readable | wait.Hup})
	var buf [4 * boot.MaxRequest]byte
	held := 0
	for {
		n, eof := port.Read(buf[held:])
		if eof {
			return
		}
		if n == 0 {
			s.SleepUninterruptible(0)
			continue
		}
		held += n
		lines := buf[:held]
		for {
			i := bytes.IndexByte(lines, '\n')
			if i < 0 {
				break
			}
			if r, ok := boot.ParseRequest(string(lines[:i])); ok {
				control(r, console, init)
			}
			lines = lines[i+1:]
		}
		if held = copy(buf[:], lines); held > boot.MaxRequest {
			held = 0 // no request is that long
		}
	}
}

func control(r boot.Request, console *tty.Console, init *task.Process) {
	switch r.Verb {
	case boot.RequestSignal:
		if !r.Group {
			init.SendSignal(r.Signal)
			return
		}
		for _, p := range task.Tasks.Group(init.Program().PGID()) {
			p.SendSignal(r.Signal)
		}
	case boot.RequestResize:
		if console.Terminal != nil {
			console.Terminal.Resize(r.Cols, r.Rows)
		}
	case boot.RequestPowerOff:
		init.SendSignal(int(unix.SIGKILL))
	}
}
