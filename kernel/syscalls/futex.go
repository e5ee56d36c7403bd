package syscalls

var futexRows = []Row{}
