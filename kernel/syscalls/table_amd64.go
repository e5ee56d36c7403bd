package syscalls

func (r *Row) number() int { return r.AMD64 }
