// Command syscalldoc writes docs/syscalls.md from the rows of the system-call table:
//
//	go run ./host/syscalldoc          writes the file
//	go run ./host/syscalldoc -check   fails if the file is not current
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"

	"gosv/kernel/syscalls"
)

const file = "docs/syscalls.md"

func main() {
	log.SetFlags(0)
	log.SetPrefix("syscalldoc: ")
	check := flag.Bool("check", false, "only check that "+file+" is current")
	flag.Parse()
	doc := document()
	if *check {
		old, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		if !bytes.Equal(old, doc) {
			log.Fatalf("%s is not current: run go run ./host/syscalldoc", file)
		}
		return
	}
	if err := os.WriteFile(file, doc, 0o644); err != nil {
		log.Fatal(err)
	}
}

// document is the text of the file.
func document() []byte {
	var rows []*syscalls.Row
	var counts [3]int
	for r := range syscalls.Rows {
		rows = append(rows, r)
		counts[r.Level]++
	}
	slices.SortFunc(rows, func(a, b *syscalls.Row) int { return strings.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	fmt.Fprintf(&b, `# System calls

Generated from the rows of kernel/syscalls by `+"`go run ./host/syscalldoc`"+`: change those, not this file.

Of the %d calls that Linux has on x86-64 and arm64, %d are complete, %d do the part that their note describes, and
%d are missing: they return ENOSYS unless the note says otherwise. A dash stands where an architecture lacks the call.

| call | x86-64 | arm64 | support | note |
|---|---|---|---|---|
`, len(rows), counts[syscalls.Full], counts[syscalls.Partial], counts[syscalls.None])
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.Name, number(r.AMD64), number(r.ARM64), r.Level, strings.ReplaceAll(r.Note, "|", "\\|"))
	}
	b.WriteString("\nThese can wait for as long as another program wants; SIGKILL ends each of them at once:\n")
	for _, r := range rows {
		if r.Blocks {
			b.WriteString(r.Name + "\n")
		}
	}
	return b.Bytes()
}

func number(n int) string {
	if n == syscalls.NoNumber {
		return "–"
	}
	return fmt.Sprint(n)
}
