package ipc

import "strconv"

// Column appends a number to a line of /proc/sysvipc (proc_sysvipc(5)), to the
// right in width columns.
func Column(b []byte, v int64, width int) []byte { return pad(b, strconv.AppendInt(nil, v, 10), width) }

// AppendPerm appends the columns that all kinds begin with: key, ID and mode.
func AppendPerm(b []byte, p *Perm) []byte {
	b = Column(b, int64(p.Key), 10)
	b = Column(append(b, ' '), int64(p.ID), 10)
	return pad(append(b, "  "...), strconv.AppendUint(nil, uint64(p.Mode), 8), 4)
}

// AppendOwners appends the columns of users and groups.
func AppendOwners(b []byte, p *Perm) []byte {
	for _, id := range [...]uint32{p.UID, p.GID, p.CUID, p.CGID} {
		b = Column(append(b, ' '), int64(id), 5)
	}
	return b
}

func pad(b, digits []byte, width int) []byte {
	for n := len(digits); n < width; n++ {
		b = append(b, ' ')
	}
	return append(b, digits...)
}
