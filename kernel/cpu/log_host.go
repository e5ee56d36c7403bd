//go:build !metal

package cpu

import "os"

// Log writes s to standard error, where the host has its log.
func Log(s string) { os.Stderr.WriteString(s) }

// LogRaw writes b there as it is.
func LogRaw(b []byte) { os.Stderr.Write(b) }

// LogTail has nothing: the host keeps no log for us.
func LogTail(b []byte) int { return 0 }
