// The first process of a Linux guest that serves: loads the drivers of the network device, gives eth0 the address that
// the first argument says, and becomes the program that the others say.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	sleep(1);
	exit(1);
}

static void up(int s, const char *name, const char *address)
{
	struct ifreq r = {0};
	struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;
	strcpy(r.ifr_name, name);
	if (address) {
		a->sin_family = AF_INET;
		a->sin_addr.s_addr = inet_addr(address);
		if (ioctl(s, SIOCSIFADDR, &r))
			fail("SIOCSIFADDR");
		a->sin_addr.s_addr = inet_addr("255.255.255.0");
		if (ioctl(s, SIOCSIFNETMASK, &r))
			fail("SIOCSIFNETMASK");
	}
	if (ioctl(s, SIOCGIFFLAGS, &r))
		fail("SIOCGIFFLAGS");
	r.ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &r))
		fail("SIOCSIFFLAGS");
}

int main(int argc, char **argv)
{
	static const char *modules[] = {"virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "failover", "net_failover", "virtio_net"};
	char path[100];
	struct rlimit files = {65536, 65536};

	if (argc < 3)
		return 2;
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/tmp", 01777);
	mount("proc", "/proc", "proc", 0, "");
	mount("sysfs", "/sys", "sysfs", 0, "");
	mount("devtmpfs", "/dev", "devtmpfs", 0, "");
	mount("tmpfs", "/tmp", "tmpfs", 0, "");
	for (unsigned i = 0; i < sizeof modules / sizeof *modules; i++) {
		snprintf(path, sizeof path, "/modules/%s.ko", modules[i]);
		int fd = open(path, O_RDONLY);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
			fail(path);
		close(fd);
	}
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	up(s, "lo", NULL);
	up(s, "eth0", argv[1]);
	close(s);
	setrlimit(RLIMIT_NOFILE, &files);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	execv(argv[2], argv + 2);
	fail(argv[2]);
}
