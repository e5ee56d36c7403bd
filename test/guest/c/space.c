// File space: truncate, fallocate, SEEK_HOLE, copies inside the kernel.
#include "check.h"
#include <sys/sendfile.h>

static off_t size_of(int fd)
{
	struct stat st;
	MUST(fstat(fd, &st));
	return st.st_size;
}

int main(void)
{
	char b[8192];
	work_dir();
	int fd = MUST(open("f", O_RDWR | O_CREAT, 0644));
	MUST(write(fd, "0123456789", 10));
	EQ("ftruncate shorter", ftruncate(fd, 4), 0);
	EQ("size after ftruncate", size_of(fd), 4);
	EQ("ftruncate longer", ftruncate(fd, 8), 0);
	EQ("pread after growth", pread(fd, b, 20, 0), 8);
	OK("grown part is zero", !memcmp(b, "0123\0\0\0\0", 8));
	EQ("truncate", truncate("f", 2), 0);
	EQ("size after truncate", size_of(fd), 2);
	FAILS("truncate negative", truncate("f", -1), EINVAL);
	FAILS("truncate missing", truncate("missing", 1), ENOENT);
	FAILS("truncate directory", truncate(".", 1), EISDIR);
	EQ("ftruncate sparse", ftruncate(fd, 1LL << 32), 0);
	EQ("sparse size", size_of(fd), 1LL << 32);
	struct stat st;
	fstat(fd, &st);
	OK("sparse file has few blocks", st.st_blocks < 1000);
	EQ("write far", pwrite(fd, "far", 3, (1LL << 32) - 3), 3);
	EQ("read far", pread(fd, b, 8, (1LL << 32) - 3), 3);
	MUST(ftruncate(fd, 0));

	EQ("fallocate", fallocate(fd, 0, 0, 10000), 0);
	EQ("fallocate grows", size_of(fd), 10000);
	EQ("fallocate keep size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000), 0);
	EQ("size kept", size_of(fd), 10000);
	FAILS("fallocate zero length", fallocate(fd, 0, 0, 0), EINVAL);
	FAILS("fallocate negative", fallocate(fd, 0, -1, 10), EINVAL);
	memset(b, 'x', sizeof b);
	MUST(pwrite(fd, b, sizeof b, 0));
	EQ("punch hole", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 5000), 0);
	EQ("read punched", pread(fd, b, sizeof b, 0), sizeof b);
	int bad = 0;
	for (int i = 0; i < 8192; i++)
		bad += b[i] != (i >= 100 && i < 5100 ? 0 : 'x');
	EQ("punched bytes are zero, others stay", bad, 0);
	EQ("posix_fallocate", posix_fallocate(fd, 0, 30000), 0);
	EQ("posix_fallocate grows", size_of(fd), 30000);

	MUST(ftruncate(fd, 0));
	MUST(ftruncate(fd, 4 << 20));
	MUST(pwrite(fd, "data", 4, 1 << 20));
	MUST(pwrite(fd, "data", 4, 3 << 20));
	EQ("SEEK_DATA", lseek(fd, 0, SEEK_DATA), 1 << 20);
	EQ("SEEK_DATA in data", lseek(fd, (1 << 20) + 1, SEEK_DATA), (1 << 20) + 1);
	EQ("SEEK_HOLE at start", lseek(fd, 0, SEEK_HOLE), 0);
	EQ("SEEK_HOLE after data", lseek(fd, 1 << 20, SEEK_HOLE), (1 << 20) + 4096);
	EQ("SEEK_DATA second", lseek(fd, 2 << 20, SEEK_DATA), 3 << 20);
	FAILS("SEEK_DATA past the last", lseek(fd, (3 << 20) + 4096, SEEK_DATA), ENXIO);
	FAILS("SEEK_HOLE past end", lseek(fd, 4 << 20, SEEK_HOLE), ENXIO);
	close(fd);

	put("src", "the quick brown fox");
	int in = MUST(open("src", O_RDONLY)), out = MUST(open("dst", O_RDWR | O_CREAT | O_TRUNC, 0644));
	EQ("sendfile", sendfile(out, in, NULL, 9), 9);
	EQ("sendfile moves offset", lseek(in, 0, SEEK_CUR), 9);
	off_t off = 10;
	EQ("sendfile with offset", sendfile(out, in, &off, 100), 9);
	EQ("sendfile updates offset", off, 19);
	EQ("sendfile leaves file offset", lseek(in, 0, SEEK_CUR), 9);
	STR("sendfile content", get("dst"), "the quickbrown fox");
	EQ("sendfile at end", sendfile(out, in, &off, 10), 0);
	off_t oi = 4, oo = 0;
	EQ("copy_file_range", copy_file_range(in, &oi, out, &oo, 5, 0), 5);
	OK("copy_file_range offsets", oi == 9 && oo == 5);
	STR("copy_file_range content", get("dst"), "quickuickbrown fox");
	FAILS("copy_file_range flags", copy_file_range(in, NULL, out, NULL, 5, 1), EINVAL);
	FAILS("copy_file_range to O_RDONLY", copy_file_range(out, NULL, in, NULL, 5, 0), EBADF);
	EQ("fsync", fsync(out), 0);
	EQ("fdatasync", fdatasync(out), 0);
	FAILS("fsync closed", fsync(900), EBADF);
	EQ("posix_fadvise", posix_fadvise(in, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
	EQ("readahead", readahead(in, 0, 4096), 0);
	sync();
	EQ("sync_file_range", sync_file_range(out, 0, 0, SYNC_FILE_RANGE_WRITE), 0);

	// A file of many pages, written and read in odd sizes.
	fd = MUST(open("big", O_RDWR | O_CREAT, 0644));
	unsigned char block[7919];
	long total = 0;
	for (int i = 0; i < 500; i++) {
		for (size_t j = 0; j < sizeof block; j++)
			block[j] = (total + j) * 2654435761u >> 24;
		total += MUST(write(fd, block, sizeof block));
	}
	EQ("large size", size_of(fd), total);
	lseek(fd, 0, SEEK_SET);
	long at = 0, wrong = 0, n;
	while ((n = read(fd, b, 4093)) > 0)
		for (long j = 0; j < n; j++, at++)
			wrong += (unsigned char)b[j] != (unsigned char)(at * 2654435761u >> 24);
	EQ("large read back", at, total);
	EQ("large content", wrong, 0);
	done();
}
