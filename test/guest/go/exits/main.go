// Command exits writes to both streams and ends with a status from another
// goroutine, while the first is blocked.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println("standard output")
	fmt.Fprintln(os.Stderr, "standard error")
	go os.Exit(33)
	select {}
}
