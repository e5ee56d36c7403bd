// Command runtime checks that the Go runtime has what it needs: goroutines on
// several threads, channels, locks, the garbage collector, preemption.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var failures int

func check(name string, good bool) {
	if good {
		fmt.Println("ok", name)
	} else {
		fmt.Println("not ok", name)
		failures++
	}
}

type node struct{ left, right *node }

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{tree(depth - 1), tree(depth - 1)}
}

func (n *node) count() int {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func recovered(f func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r)
		}
	}()
	f()
	return "nothing"
}

func main() {
	runtime.GOMAXPROCS(2)

	var wg sync.WaitGroup
	var sum atomic.Int64
	for i := range 1000 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.Gosched()
			sum.Add(int64(i))
		}()
	}
	wg.Wait()
	check("1000 goroutines", sum.Load() == 499500)

	pipe := make(chan int)
	stage := pipe
	for range 50 {
		next := make(chan int)
		go func(in, out chan int) {
			for v := range in {
				out <- v + 1
			}
			close(out)
		}(stage, next)
		stage = next
	}
	go func() {
		for i := range 100 {
			pipe <- i
		}
		close(pipe)
	}()
	total := 0
	for v := range stage {
		total += v
	}
	check("a chain of 50 channels", total == 4950+100*50)

	var stop atomic.Bool
	var spins [2]atomic.Int64
	for i := range 2 {
		go func() {
			for !stop.Load() { // without a call: only a signal preempts it
				spins[i].Add(1)
			}
		}()
	}
	before := time.Now()
	for i := 0; i < 5; i++ {
		runtime.GC()
	}
	stop.Store(true)
	check("collections while goroutines spin", time.Since(before) > 0)

	want := tree(14).count()
	results := make(chan int)
	for range 4 {
		go func() {
			n := 0
			for range 10 {
				n += tree(14).count()
			}
			results <- n
		}()
	}
	got := 0
	for range 4 {
		got += <-results
	}
	check("trees under garbage collection", got == 40*want)

	var m sync.Map
	for i := range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			m.Store(i, strings.Repeat("x", i))
		}()
	}
	wg.Wait()
	length := 0
	m.Range(func(_, v any) bool { length += len(v.(string)); return true })
	check("concurrent map", length == 4950)

	var p *node
	check("nil dereference is a panic", strings.Contains(recovered(func() { p.count() }), "nil pointer dereference"))
	zero := 0
	check("division by zero is a panic", strings.Contains(recovered(func() { zero = 1 / zero }), "divide by zero"))
	debug.SetPanicOnFault(true)
	check("index out of range", strings.Contains(recovered(func() { _ = make([]int, 3)[zero+5] }), "out of range"))

	var grow func(n int) int
	grow = func(n int) int {
		var pad [512]byte
		if n == 0 {
			return int(pad[0])
		}
		return grow(n-1) + 1
	}
	check("stack growth", grow(20000) == 20000)

	locked := make(chan bool)
	go func() {
		runtime.LockOSThread()
		time.Sleep(time.Millisecond)
		locked <- true
	}()
	check("locked thread", <-locked)
	check("processors", runtime.NumCPU() >= 1)
	name, err := os.Hostname()
	check("host name", err == nil && name != "")
	pid := os.Getpid()
	check("process id", pid > 0)
	words := strings.Fields("the quick brown fox jumps")
	sort.Strings(words)
	check("sort", words[0] == "brown")
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	check("collected", ms.NumGC > 5)
	os.Exit(failures)
}
