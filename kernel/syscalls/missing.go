package syscalls

var missingRows = []Row{}
