package syscalls

var timeRows = []Row{}
