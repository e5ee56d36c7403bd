package syscalls

import (
	"gosv/abi/linux"
	"gosv/kernel/task"
)

func traceCall(t *task.Thread, row *Row, a *Args) {}

func traceSignal(t *task.Thread, info *linux.SigInfo) {}
