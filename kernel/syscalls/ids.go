package syscalls

var idRows = []Row{}
