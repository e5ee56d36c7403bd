package syscalls

var signalRows = []Row{}
