#!/bin/sh
# gen.sh turns the assembly sources here into the byte arrays that the build uses. It needs GNU as, ld and od, and is run
# by whoever changes stub.s.txt or ap.s.txt; the build of the kernel does not need it. The sources have an ending that
# the go command does not take for its own assembler's.
set -e
cd "$(dirname "$0")"
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
emit() { # source origin array package tags output
	as --64 -o "$t/o.o" "$1"
	ld -m elf_x86_64 --oformat binary -Ttext "$2" -e _start -o "$t/o.bin" "$t/o.o"
	{
		echo "// Code generated from $1 by host/mkkernel/boot/gen.sh; DO NOT EDIT."
		echo
		[ -z "$5" ] || printf '//go:build %s\n\n' "$5"
		printf 'package %s\n\nvar %s = [...]byte{\n' "$4" "$3"
		od -An -v -tx1 "$t/o.bin" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1, /g; s/ $//; s/^/\t/'
		echo "}"
	} >"$6"
}
emit stub.s.txt 0x100000 stubCode main "" ../stub.go
emit ap.s.txt 0x8000 apCode cpu metal ../../../kernel/cpu/ap_metal.go
