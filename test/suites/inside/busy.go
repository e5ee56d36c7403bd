package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A watch tells a session that waits from one that works: on a machine with much else to do, a test may take long.
type watch struct {
	session int
	at      time.Time
	ticks   int64
}

const (
	watchEvery = 10 * time.Second
	fewTicks   = 20 // of 10 ms
)

// waits tells whether the session has used next to no CPU time in the last seconds.
func (w *watch) waits(now time.Time) bool {
	if now.Sub(w.at) < watchEvery {
		return false
	}
	before, first := w.ticks, w.at.IsZero()
	w.ticks, w.at = sessionTicks(w.session), now
	return !first && w.ticks-before < fewTicks
}

// sessionTicks is the CPU time of the processes of a session and of the children that they have waited for.
func sessionTicks(session int) (sum int64) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// The name, in parentheses, may have anything in it.
		_, rest, _ := bytes.Cut(b[bytes.LastIndexByte(b, ')')+1:], []byte(" "))
		f := bytes.Fields(rest) // state ppid pgrp session ..., utime is the 12th
		if len(f) < 15 || string(f[3]) != strconv.Itoa(session) {
			continue
		}
		for _, t := range f[11:15] {
			n, _ := strconv.ParseInt(string(t), 10, 64)
			sum += n
		}
	}
	return sum
}
