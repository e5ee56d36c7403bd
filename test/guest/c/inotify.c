// inotify(7).
#include "check.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static int in;

// events reads what there is, as text.
static const char *events(void)
{
	static char text[4][2048];
	static int next;
	char *out = text[next++ & 3], b[4096] __attribute__((aligned(8)));
	int at = 0;
	out[0] = 0;
	ssize_t n = read(in, b, sizeof b);
	for (char *p = b; n > 0 && p < b + n;) {
		struct inotify_event *e = (void *)p;
		static const struct { unsigned bit; const char *name; } names[] = {
			{IN_ACCESS, "access"}, {IN_MODIFY, "modify"}, {IN_ATTRIB, "attrib"}, {IN_CLOSE_WRITE, "close_write"},
			{IN_CLOSE_NOWRITE, "close"}, {IN_OPEN, "open"}, {IN_MOVED_FROM, "from"}, {IN_MOVED_TO, "to"},
			{IN_CREATE, "create"}, {IN_DELETE, "delete"}, {IN_DELETE_SELF, "delete_self"}, {IN_MOVE_SELF, "move_self"},
			{IN_IGNORED, "ignored"}, {IN_ISDIR, "/"}};
		at += sprintf(out + at, "%s%d:", at ? " " : "", e->wd);
		for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
			if (e->mask & names[i].bit)
				at += sprintf(out + at, "%s", names[i].name);
		if (e->len)
			at += sprintf(out + at, "=%s", e->name);
		if (e->len % 16)
			at += sprintf(out + at, "!len%u", e->len);
		p += sizeof *e + e->len;
	}
	return out;
}

int main(void)
{
	work_dir();
	FAILS("flags", inotify_init1(1), EINVAL);
	in = MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	char b[64];
	FAILS("nothing", read(in, b, sizeof b), EAGAIN);
	mkdir("d", 0755);
	int wd = MUST(inotify_add_watch(in, "d", IN_ALL_EVENTS));
	EQ("first watch", wd, 1);
	FAILS("no such file", inotify_add_watch(in, "nothing", IN_OPEN), ENOENT);
	FAILS("no events", inotify_add_watch(in, "d", 0), EINVAL);
	FAILS("not inotify", inotify_add_watch(1, "d", IN_OPEN), EINVAL);
	put("d/a", "hello");
	STR("a new file", events(), "1:create=a 1:open=a 1:modify=a 1:close_write=a");
	get("d/a");
	STR("read", events(), "1:open=a 1:access=a 1:close=a");
	chmod("d/a", 0600);
	STR("chmod", events(), "1:attrib=a");
	truncate("d/a", 1);
	STR("truncate", events(), "1:modify=a");
	rename("d/a", "d/b");
	STR("rename", events(), "1:from=a 1:to=b");
	mkdir("d/sub", 0755);
	STR("mkdir", events(), "1:create/=sub");
	rename("d/b", "c");
	STR("out of it", events(), "1:from=b");
	rename("c", "d/c");
	STR("into it", events(), "1:to=c");
	link("d/c", "d/e");
	STR("link", events(), "1:create=e");
	symlink("c", "d/s");
	STR("symlink", events(), "1:create=s");
	unlink("d/e"), unlink("d/s"), rmdir("d/sub");
	STR("unlink", events(), "1:delete=e 1:delete=s 1:delete/=sub");
	int f = MUST(inotify_add_watch(in, "d/c", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF));
	EQ("second watch", f, 2);
	EQ("the same again", inotify_add_watch(in, "d/c", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF), 2);
	put("d/c", "x");
	STR("both are told", events(), "1:open=c 1:modify=c 2:modify 1:modify=c 2:modify 1:close_write=c");
	EQ("smaller mask", inotify_add_watch(in, "d", IN_DELETE), 1);
	rename("d/c", "d/x");
	STR("move self", events(), "2:move_self");
	unlink("d/x");
	int n = 0;
	EQ("fionread", ({ ioctl(in, FIONREAD, &n); n >= 32; }), 1);
	const char *e = events();
	OK("the last name", strstr(e, "1:delete=x") && strstr(e, "2:attrib") && strstr(e, "2:delete_self") && strstr(e, "2:ignored"));
	FAILS("the watch is gone", inotify_rm_watch(in, 2), EINVAL);
	put("d/y", "");
	EQ("oneshot", inotify_add_watch(in, "d/y", IN_OPEN | IN_ONESHOT), 3);
	get("d/y"), get("d/y");
	STR("once", events(), "3:open 3:ignored");
	FAILS("only directories", inotify_add_watch(in, "d/y", IN_OPEN | IN_ONLYDIR), ENOTDIR);
	FAILS("mask create", inotify_add_watch(in, "d", IN_OPEN | IN_MASK_CREATE), EEXIST);
	EQ("remove", inotify_rm_watch(in, 1), 0);
	STR("ignored", events(), "1:ignored");
	struct pollfd p = {in, POLLIN, 0};
	EQ("poll", poll(&p, 1, 0), 0);
	inotify_add_watch(in, "d", IN_CREATE);
	put("d/z", "");
	EQ("poll event", poll(&p, 1, 1000), 1);
	FAILS("no room", read(in, b, 16), EINVAL);
	close(in);
	done();
}
