package uring

// maxWorkers is how many requests of one ring may block at a time.
const maxWorkers = 256

// punt gives a request to a worker. mu is held.
func (r *Ring) punt(q *Request) {
	r.disarm(q)
	r.park(q)
	if r.workers >= maxWorkers {
		q.state = stateQueued
		r.waiting = append(r.waiting, q)
		return
	}
	r.workers++
	r.startWorker(q)
}

// startWorker has a goroutine do q, as a thread of the submitter's process would.
func (r *Ring) startWorker(q *Request) {
	q.state = stateWorking
	if err := q.Choose(); err != nil {
		r.workers--
		r.fail(q, err)
		return
	}
	q.Wait = true
	t := q.user.t.Proxy(q.stopped.Load)
	t.MM.Retain() // the process may end meanwhile
	q.worker = t
	go func() {
		res, err := r.run(t, q)
		r.mu.Lock()
		q.worker = nil
		t.DropProxy()
		if r.closed {
			q.link, q.ltimeout = nil, nil
		}
		if res <= 0 || err != nil {
			q.putBack()
		}
		r.finish(q, res, err)
		r.workers--
		if len(r.waiting) > 0 {
			next := r.waiting[0]
			r.waiting = r.waiting[1:]
			r.workers++
			r.startWorker(next)
		}
		if r.closed {
			dead := r.dropped
			r.dropped = nil
			r.mu.Unlock()
			for _, f := range dead {
				f.Release()
			}
		} else {
			r.unlock(true)
		}
		t.MM.Release()
	}()
}

// stop makes the worker of a request come back.
func (q *Request) stop() {
	if !q.stopped.Swap(true) && q.worker != nil {
		q.worker.Interrupt()
	}
}
