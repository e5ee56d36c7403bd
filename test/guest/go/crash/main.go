// Command crash ends by a panic in a goroutine: status 2, with a traceback.
package main

import "fmt"

func main() {
	fmt.Println("before")
	done := make(chan bool)
	go func() {
		var m map[string]int
		m["x"] = 1 //lint:ignore SA5000 this is the crash
		done <- true
	}()
	<-done
}
