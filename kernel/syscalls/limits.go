package syscalls

var limitRows = []Row{}
