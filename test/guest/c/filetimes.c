// Times of files that nobody writes or reads by name: a store to a shared mapping changes mtime and ctime, mmap, reading
// a directory, following a link and execve mark atime. inode(7), mmap(2), mount(8) on relatime.
#include "check.h"
#include <dirent.h>
#include <sys/wait.h>

#define PAGE 4096L

static struct stat before, after;
static const char *subject;

// ages puts all times of a file into the past, atime before mtime, and remembers them.
static void ages(const char *path)
{
	struct timespec t[2] = {{1000000000, 0}, {1000000001, 0}};
	utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW);
	subject = path;
	lstat(path, &before);
	sleep_ms(30); // longer than a tick of the clock that stamps
}

static int moved(struct timespec *a, struct timespec *b) { return a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec; }

// changed says which times have changed: a, m, c.
static const char *changed(void)
{
	static char s[4];
	char *p = s;
	lstat(subject, &after);
	if (moved(&before.st_atim, &after.st_atim))
		*p++ = 'a';
	if (moved(&before.st_mtim, &after.st_mtim))
		*p++ = 'm';
	if (moved(&before.st_ctim, &after.st_ctim))
		*p++ = 'c';
	*p = 0;
	return s;
}

static void stores(void)
{
	int fd = open("file", O_RDWR | O_CREAT, 0644);
	ftruncate(fd, 64 * PAGE);
	ages("file");
	char *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	STR("mmap marks atime", changed(), "a");
	ages("file");
	p[40 * PAGE] = 'x';
	STR("a store to a shared mapping", changed(), "mc");
	OK("is now", time(NULL) - after.st_mtim.tv_sec < 100 && after.st_mtim.tv_sec == after.st_ctim.tv_sec);
	ages("file");
	p[20 * PAGE] = 'x';
	STR("a store to another page", changed(), "mc");
	ages("file");
	int other = memfd_create("x", 0);
	write(other, "data", 4);
	pread(other, p + 60 * PAGE, 4, 0);
	STR("a store by the kernel", changed(), "mc");
	ages("file");
	msync(p, 64 * PAGE, MS_ASYNC);
	(void)*(volatile char *)(p + 30 * PAGE);
	STR("a load changes nothing", changed(), "");
	munmap(p, 64 * PAGE);
	STR("nor does munmap", changed(), "");
	char *q = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	STR("a private mapping marks atime", changed(), "a");
	ages("file");
	q[0] = 'x';
	STR("a store to a private mapping", changed(), "");
	munmap(q, 64 * PAGE);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fflush(stdout);
	ages("file");
	if (fork() == 0) {
		p[0] = 'y';
		_exit(0);
	}
	wait(NULL);
	STR("a store by a child", changed(), "mc");
	munmap(p, PAGE);
	ages("file");
	mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_DENYWRITE, fd, 0);
	STR("a mapping to read", changed(), "a");
	close(fd);
	fd = open("file", O_RDWR | O_NOATIME);
	ages("file");
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	STR("O_NOATIME and mmap", changed(), "");
	char c;
	read(fd, &c, 1);
	STR("O_NOATIME and read", changed(), "");
	close(fd);
}

static void reads(char *self)
{
	put("file", "some text");
	int fd = open("file", O_RDONLY);
	char b[20];
	ages("file");
	read(fd, b, 4);
	STR("read", changed(), "a");
	pread(fd, b, 4, 2);
	lstat("file", &before);
	sleep_ms(30);
	pread(fd, b, 4, 2);
	STR("relatime: once", changed(), "");
	ages("file");
	pread(fd, b, 4, 100);
	STR("read at the end", changed(), "a");
	int p[2];
	pipe(p);
	ages("file");
	loff_t off = 0;
	splice(fd, &off, p[1], NULL, 4, 0);
	STR("splice", changed(), "a");
	ages("file");
	int out = open("out", O_RDWR | O_CREAT, 0600);
	off = 0;
	syscall(SYS_sendfile, out, fd, &off, 4L);
	STR("sendfile", changed(), "a");
	ages("file");
	off = 0;
	syscall(SYS_copy_file_range, fd, &off, out, NULL, 4L, 0);
	STR("copy_file_range", changed(), "a");

	mkdir("dir", 0755);
	put("dir/a", "");
	ages("dir");
	DIR *d = opendir("dir");
	STR("opening a directory", changed(), "");
	while (readdir(d))
		;
	closedir(d);
	STR("reading a directory", changed(), "a");
	ages("dir");
	stat("dir/a", &after);
	STR("walking through a directory", changed(), "");

	symlink("file", "link");
	ages("link");
	lstat("link", &after);
	STR("stat of a link", changed(), "");
	readlink("link", b, sizeof b);
	STR("readlink", changed(), "a");
	ages("link");
	close(open("link", O_RDONLY));
	STR("following a link", changed(), "a");

	// A copy of this program, which ends at once when it is given an argument.
	int in = open("/proc/self/exe", O_RDONLY);
	out = open("program", O_WRONLY | O_CREAT, 0755);
	static char buffer[65536];
	for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;)
		write(out, buffer, n);
	close(out);
	ages("program");
	fflush(stdout);
	int status;
	pid_t child = fork();
	if (child == 0) {
		execl("./program", "program", "end", NULL);
		_exit(9);
	}
	waitpid(child, &status, 0);
	EQ("execve", status, 0);
	STR("execve marks atime", changed(), "a");
	put("script", "#!./program end\n");
	chmod("script", 0755);
	ages("script");
	child = fork();
	if (child == 0) {
		execl("./script", "script", NULL);
		_exit(9);
	}
	waitpid(child, &status, 0);
	EQ("execve of a script", status, 0);
	STR("execve of a script marks atime", changed(), "a");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		_exit(0);
	work_dir();
	stores();
	reads(argv[0]);
	done();
}
