package vfs

import "gosv/kernel/sysctl"

var sysctls = [...]sysctl.Row{
	{Name: "fs.nr_open", Value: &sysctl.Uint{Var: &MaxOpen, Min: 64, Max: maxFDs}},
	{Name: "fs.protected_symlinks", Value: &sysctl.Int{Var: &protectedSymlinks, Max: 1}},
	{Name: "fs.protected_hardlinks", Value: &sysctl.Int{Var: &protectedHardlinks, Max: 1}},
	{Name: "fs.protected_fifos", Value: &sysctl.Int{Var: &protectedFIFOs, Max: 2}},
	{Name: "fs.protected_regular", Value: &sysctl.Int{Var: &protectedRegular, Max: 2}},
}

func init() { sysctl.Register(sysctls[:]) }
