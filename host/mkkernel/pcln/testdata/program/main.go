// Command program uses what reads the tables of functions: the garbage collector with deep stacks that move, panics, deferred
// calls, names of callers, tracebacks.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
)

type node struct {
	next *node
	load [4]*int
}

// grow keeps pointers on a deep stack while others collect.
func grow(depth int, list *node) (sum int) {
	v := depth
	n := &node{next: list}
	n.load[depth%4] = &v
	defer func() { sum += *n.load[depth%4] }()
	if depth == 0 {
		return 0
	}
	return grow(depth-1, n)
}

type pair[K comparable, V any] struct {
	key K
	val V
}

func name[K comparable, V any](pair[K, V]) string {
	pc, file, line, ok := runtime.Caller(0)
	return fmt.Sprint(runtime.FuncForPC(pc).Name(), " ", file, ":", line, " ", ok)
}

func inlined() string { return caller() }

//go:noinline
func caller() string {
	var pcs [8]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	var names []string
	for {
		f, more := frames.Next()
		names = append(names, f.Function)
		if !more {
			return strings.Join(names, " ")
		}
	}
}

func recovered(do func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	do()
	return nil
}

func main() {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				if got := grow(500+i, nil); got != (500+i)*(501+i)/2 {
					panic(got)
				}
				runtime.GC()
			}
		})
	}
	wg.Wait()
	var list []int
	fmt.Println(recovered(func() { list[len(os.Args)] = 1 }))
	fmt.Println(recovered(func() { *(*int)(nil) = 1 }))
	fmt.Println(recovered(func() { panic(errors.New("own")) }))
	fmt.Println(name(pair[string, int]{}))
	fmt.Println(inlined())
	fmt.Println(strings.Contains(string(debug.Stack()), "main.main()"))
	var out strings.Builder
	pprof.Lookup("goroutine").WriteTo(&out, 1)
	pprof.StartCPUProfile(&out)
	grow(1000, nil)
	pprof.StopCPUProfile()
	fmt.Println(out.Len() > 0)
	grow(3, nil)
	panic("the end")
}
