package syscalls

var schedRows = []Row{}
