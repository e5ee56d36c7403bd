// Package sysctl is the registry behind /proc/sys: rows that name a setting, and
// Linux's way of reading and writing their values.
//
// A package declares the rows of what it steers beside that code, in a table, and
// registers the table once:
//
//	var maxQueues sysctl.Int32 = 256 // the code that obeys it calls maxQueues.Load()
//
//	var sysctls = [...]sysctl.Row{
//		{Name: "fs.mqueue.queues_max", Value: &sysctl.Int{Var: &maxQueues, Max: math.MaxInt32}},
//		{Name: "fs.file-nr", Value: &sysctl.Ulong{N: 3, Get: fileNumbers}},
//		{Name: "kernel.ostype", Value: sysctl.Fixed("Linux")},
//		{Name: "kernel.dmesg_restrict", Value: &sysctl.Int{Var: &restrict, Max: 1}, Cap: unix.CAP_SYS_ADMIN},
//	}
//
//	func init() { sysctl.Register(sysctls[:]) }
//
// The kinds of values are those of Linux's handlers (kernel/sysctl.c):
//
//	Int     proc_dointvec, proc_dointvec_minmax       signed, 32 bits
//	Uint    proc_douintvec, proc_douintvec_minmax     32 bits
//	Ulong   proc_doulongvec_minmax                    64 bits
//	Bool    proc_dobool
//	String  proc_dostring
//	Fixed   a text that cannot be written
//
// A number is the variable Var, or the functions Get and Set; N makes it a vector,
// whose elements Get and Set are told by index. Without Var and Set the value
// cannot be written. Min and Max are checked if they are not both 0. The types of
// variables (Int32, Uint32, Uint64, Flag) are atomic through their methods, and
// have their first value as static data.
//
// The tables must be static data: composite literals of constants, addresses of
// variables and functions. Then a row costs no time at boot; Register keeps one
// slice header for a table. The tree is built when /proc/sys is first looked at.
//
// The package imports nothing of the kernel, so every package can use it. Set
// functions are called with no lock held.
package sysctl

// A Row is one setting.
type Row struct {
	// Name is the setting's name as sysctl(8) has it: "fs.file-max". Dots part
	// the directories; a slash is a dot within a name.
	Name string
	// Value is the kind of the value and where it is.
	Value Value
	// Mode is the permission bits; 0 is 0644 if the value can be written, and
	// 0444 if not.
	Mode uint16
	// Cap is the capability that a writer needs beside the permission (EPERM);
	// 0 is none.
	Cap uint8
}

// A Value is what a row holds: one of this package's types.
type Value interface {
	// append adds the text that a read shows, without the newline.
	append(b []byte) []byte
	// write takes what was written at a file position. It returns how much of b
	// was taken.
	write(b []byte, pos int64) (int, error)
	writable() bool
}

var tables [][]Row

// Register adds a table of rows. It is for init functions.
func Register(rows []Row) { tables = append(tables, rows) }

// Each calls f for each row, table by table.
func Each(f func(*Row)) {
	for _, t := range tables {
		for i := range t {
			f(&t[i])
		}
	}
}

// Find returns the row of a name, nil if there is none.
func Find(name string) (found *Row) {
	Each(func(r *Row) {
		if r.Name == name {
			found = r
		}
	})
	return found
}

// Path returns the path below /proc/sys.
func (r *Row) Path() string {
	b := []byte(r.Name)
	for i, c := range b {
		switch c {
		case '.':
			b[i] = '/'
		case '/':
			b[i] = '.'
		}
	}
	return string(b)
}

// Permissions returns the permission bits of the file.
func (r *Row) Permissions() uint32 {
	switch {
	case r.Mode != 0:
		return uint32(r.Mode)
	case r.Value.writable():
		return 0o644
	}
	return 0o444
}

// Writable reports whether the value can be written by anyone.
func (r *Row) Writable() bool { return r.Value.writable() }

// Read returns the text at a file position. A number can only be read from the
// start, as Linux has it: a second read finds the end.
func (r *Row) Read(pos int64) []byte {
	b := append(r.Value.append(make([]byte, 0, 32)), '\n')
	switch r.Value.(type) {
	case *String, Fixed:
		return b[min(max(pos, 0), int64(len(b))):]
	}
	if pos != 0 {
		return nil
	}
	return b
}

// Write takes the text that was written at a file position, and returns how much
// of it was taken. EINVAL: no number, or out of range.
func (r *Row) Write(b []byte, pos int64) (int, error) { return r.Value.write(b, pos) }
