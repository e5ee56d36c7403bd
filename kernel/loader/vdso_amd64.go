package loader

const vdsoMachine = 62 // EM_X86_64
