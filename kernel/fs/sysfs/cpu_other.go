//go:build !amd64

package sysfs

import "gosv/kernel/vfs"

// addCaches adds nothing: only CPUID says what caches there are.
func addCaches(*vfs.StaticDir, int, int) {}
