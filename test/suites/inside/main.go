// Command inside runs test programs, on this machine or in the guest, test function by test function: it starts again after
// one that ended the program or hung, and writes what became of each as a line of JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"gosv/test/suites/plan"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: inside PLAN")
		os.Exit(2)
	}
	b, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var suites []plan.Suite
	if err := json.Unmarshal(b, &suites); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := range suites {
		s := &suite{Suite: suites[i], result: map[string]string{}}
		emit(plan.Event{Suite: s.Name, Result: plan.Begin})
		err := s.run()
		e := plan.Event{Suite: s.Name, Result: plan.End}
		if err != nil {
			e.Output = err.Error()
		}
		emit(e)
	}
}

var out sync.Mutex

// emit writes an event as a line that no other output can be in.
func emit(e plan.Event) {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	out.Lock()
	defer out.Unlock()
	os.Stdout.Write(append(append([]byte(plan.Mark), b...), '\n'))
}
