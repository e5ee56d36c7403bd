// Command garbage allocates and frees 10 GB in all, in goroutines on two
// threads, keeping little of it. It must complete in a guest of 128 MB.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
)

func main() {
	total := int64(10 << 30)
	if len(os.Args) > 1 {
		megabytes, err := strconv.ParseInt(os.Args[1], 10, 64)
		if err != nil {
			fmt.Fprintln(os.Stderr, "garbage: megabytes:", err)
			os.Exit(2)
		}
		total = megabytes << 20
	}
	runtime.GOMAXPROCS(2)
	// What a mark phase meets as new counts as live, and doubles the next goal: on a machine whose CPUs come and go,
	// the heap would pass any size. Programs in small containers set a limit, as here.
	debug.SetMemoryLimit(48 << 20)
	pattern := bytes.Repeat([]byte("garbage "), 16<<10)
	const workers = 4
	var wg sync.WaitGroup
	sums := make([]uint64, workers)
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var keep [16][]byte
			size := 0
			for done, i := int64(0), 0; done < total/workers; i++ {
				size = (size*1103515245 + 12345) & 0xffff
				b := make([]byte, 16<<10+size)
				copy(b, pattern)
				b[0] = byte(i)
				if old := keep[i%len(keep)]; old != nil {
					sums[w] += uint64(old[0])
				}
				keep[i%len(keep)] = b
				done += int64(len(b))
			}
		}()
	}
	wg.Wait()
	sum := uint64(0)
	for _, s := range sums {
		sum += s
	}
	fmt.Println("allocated", total>>20, "MiB, sum", sum)
}
