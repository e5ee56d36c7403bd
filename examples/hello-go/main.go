// Command hello-go shows that goroutines of the application run on the
// machine's CPUs: a unikernel in Go that runs a program in Go.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	start := time.Now()
	var sum atomic.Int64
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			time.Sleep(time.Millisecond)
			sum.Add(int64(i))
		})
	}
	wg.Wait()
	runtime.GC()
	fmt.Printf("hello from Go: %d CPU(s), 1000 goroutines, sum %d, slept: %t\n",
		runtime.NumCPU(), sum.Load(), time.Since(start) >= time.Millisecond)
}
