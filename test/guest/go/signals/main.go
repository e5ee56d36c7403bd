// Command signals checks package os/signal.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
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

func main() {
	c := make(chan os.Signal, 10)
	signal.Notify(c, syscall.SIGUSR1, syscall.SIGTERM)
	self, _ := os.FindProcess(os.Getpid())
	for _, s := range []os.Signal{syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGUSR1} {
		check("send "+s.String(), self.Signal(s) == nil)
		check("receive "+s.String(), <-c == s)
	}
	signal.Stop(c)
	signal.Ignore(syscall.SIGUSR1)
	self.Signal(syscall.SIGUSR1)
	check("ignored", signal.Ignored(syscall.SIGUSR1))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT)
	go func() {
		time.Sleep(5 * time.Millisecond)
		syscall.Kill(os.Getpid(), syscall.SIGINT)
	}()
	<-ctx.Done()
	stop()
	check("context", ctx.Err() == context.Canceled)

	// Signals while threads block in system calls that do not return for them.
	d := make(chan os.Signal, 1000)
	signal.Notify(d, syscall.SIGUSR2)
	go func() {
		for range 50 {
			syscall.Kill(os.Getpid(), syscall.SIGUSR2)
			time.Sleep(200 * time.Microsecond)
		}
	}()
	r, w, _ := os.Pipe()
	go func() {
		time.Sleep(30 * time.Millisecond)
		w.WriteString("done")
	}()
	b := make([]byte, 8)
	n, err := syscall.Read(int(r.Fd()), b)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(r.Fd()), b)
	}
	check("blocking read", n == 4 && err == nil)
	check("signals meanwhile", len(d) > 0)
	os.Exit(failures)
}
