// Command timers checks sleeps, timers, tickers, deadlines and the clock.
package main

import (
	"context"
	"fmt"
	"os"
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
	for _, d := range []time.Duration{10 * time.Microsecond, time.Millisecond, 30 * time.Millisecond} {
		t0 := time.Now()
		time.Sleep(d)
		check("sleep "+d.String(), time.Since(t0) >= d)
	}
	ticks, ticker := 0, time.NewTicker(2*time.Millisecond)
	for range ticker.C {
		if ticks++; ticks == 10 {
			ticker.Stop()
			break
		}
	}
	check("ticker", ticks == 10)

	start := time.Now()
	fired := make(chan bool, 10)
	for i := 9; i >= 0; i-- {
		d := time.Duration(i*20+5) * time.Millisecond
		time.AfterFunc(d, func() { fired <- time.Since(start) >= d })
	}
	late := true
	for range 10 {
		late = <-fired && late
	}
	check("no timer is early", late)

	t := time.NewTimer(time.Hour)
	check("stop", t.Stop())
	check("reset", !t.Reset(time.Millisecond))
	<-t.C
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	check("deadline", ctx.Err() == context.DeadlineExceeded)

	done := make(chan bool)
	for i := range 200 {
		go func() {
			time.Sleep(time.Duration(i%20) * time.Millisecond)
			done <- true
		}()
	}
	for range 200 {
		<-done
	}
	check("200 sleepers", true)
	select {
	case <-done:
		check("time-out of a select", false)
	case <-time.After(5 * time.Millisecond):
		check("time-out of a select", true)
	}
	check("the year", time.Now().Year() > 2023)
	r, w, _ := os.Pipe()
	r.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := r.Read(make([]byte, 1))
	check("read deadline of a pipe", os.IsTimeout(err))
	r.SetReadDeadline(time.Time{})
	go func() {
		time.Sleep(5 * time.Millisecond)
		w.WriteString("x")
	}()
	n, err := r.Read(make([]byte, 8))
	check("read of a pipe", n == 1 && err == nil)
	os.Exit(failures)
}
