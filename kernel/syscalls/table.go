package syscalls

// families are the rows, one variable per file. A call that several families
// could claim stands where its man page's name points.
var families = []*[]Row{
	&ioRows,
	&openRows,
	&dirRows,
	&attrRows,
	&xattrRows,
	&fdRows,
	&pipeRows,
	&copyRows,
	&lockRows,
	&mountRows,
	&mountInfoRows,
	&handleRows,
	&mmRows,
	&pollRows,
	&eventRows,
	&uringRows,
	&aioRows,
	&inotifyRows,
	&ioctlRows,
	&socketRows,
	&sockioRows,
	&threadRows,
	&pidfdRows,
	&ptraceRows,
	&processVMRows,
	&kcmpRows,
	&seccompRows,
	&sysvRows,
	&mqueueRows,
	&signalRows,
	&futexRows,
	&futex2Rows,
	&timeRows,
	&schedRows,
	&ioprioRows,
	&idRows,
	&limitRows,
	&miscRows,
	&missingRows,
}

// maxNumber is beyond the highest system call number of either architecture.
const maxNumber = 512

// table finds the row of a number of this architecture.
var table [maxNumber]*Row

func init() {
	for _, family := range families {
		rows := *family
		for i := range rows {
			r := &rows[i]
			if n := r.number(); n != NoNumber {
				if table[n] != nil {
					panic("syscalls: " + r.Name + " and " + table[n].Name + " have the same number")
				}
				table[n] = r
			}
		}
	}
}

// Rows calls yield for every row, family by family.
func Rows(yield func(*Row) bool) {
	for _, family := range families {
		rows := *family
		for i := range rows {
			if !yield(&rows[i]) {
				return
			}
		}
	}
}
