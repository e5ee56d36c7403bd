package syscalls

var threadRows = []Row{}
