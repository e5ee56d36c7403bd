// A static file server: non-blocking sockets, edge-triggered epoll, sendfile, keep-alive and pipelining; one thread
// that accepts and two that serve.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

static std::string root;

struct Connection {
	int fd;
	std::string in, out; // what was read and not understood yet; what is to be written before the file
	int file = -1;
	off_t at = 0, size = 0;
	bool close_after = false;

	explicit Connection(int fd) : fd(fd) {}
	~Connection()
	{
		if (file >= 0)
			close(file);
		close(fd);
	}

	void head(const char *status, off_t length)
	{
		out = std::string("HTTP/1.1 ") + status + "\r\nContent-Length: " + std::to_string(length) +
		      (close_after ? "\r\nConnection: close" : "") + "\r\n\r\n";
	}

	void request(const std::string &text)
	{
		close_after = text.find(" HTTP/1.0\r\n") != std::string::npos;
		auto path = text.substr(0, text.find("\r\n"));
		auto from = path.find(' '), to = path.rfind(' ');
		if (from == std::string::npos || to <= from || path.substr(0, from) != "GET" || path.find("..") != std::string::npos) {
			close_after = true;
			return head("400 Bad Request", 0);
		}
		path = path.substr(from + 1, to - from - 1);
		if (path == "/")
			path = "/index.html";
		struct stat st;
		file = open((root + path).c_str(), O_RDONLY | O_CLOEXEC);
		if (file < 0 || fstat(file, &st) != 0 || !S_ISREG(st.st_mode)) {
			if (file >= 0)
				close(file);
			file = -1;
			return head("404 Not Found", 0);
		}
		at = 0;
		size = st.st_size;
		head("200 OK", size);
	}

	// flush writes what is ready: 1 all, 0 the socket is full, -1 the connection is over.
	int flush()
	{
		while (!out.empty()) {
			ssize_t n = send(fd, out.data(), out.size(), MSG_NOSIGNAL | (file >= 0 ? MSG_MORE : 0));
			if (n < 0)
				return errno == EAGAIN ? 0 : -1;
			out.erase(0, n);
		}
		while (file >= 0 && at < size) {
			ssize_t n = sendfile(fd, file, &at, size - at);
			if (n <= 0)
				return n < 0 && errno == EAGAIN ? 0 : -1;
		}
		if (file >= 0) {
			close(file);
			file = -1;
		}
		return close_after ? -1 : 1;
	}

	// serve goes on until the socket has nothing to read or no room; false: it is over.
	bool serve()
	{
		for (;;) {
			int done = flush();
			if (done <= 0)
				return done == 0;
			auto end = in.find("\r\n\r\n");
			if (end != std::string::npos) {
				auto text = in.substr(0, end + 4);
				in.erase(0, end + 4);
				request(text);
				continue;
			}
			char b[16384];
			ssize_t n = read(fd, b, sizeof b);
			if (n < 0)
				return errno == EAGAIN;
			if (n == 0 || in.size() > 65536)
				return false;
			in.append(b, n);
		}
	}
};

static void worker(int ep)
{
	epoll_event events[64];
	for (;;) {
		int n = epoll_wait(ep, events, 64, -1);
		if (n < 0 && errno != EINTR) {
			perror("epoll_wait");
			exit(1);
		}
		for (int i = 0; i < n; i++) {
			auto *c = static_cast<Connection *>(events[i].data.ptr);
			if (!c->serve())
				delete c;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	root = argv[2];
	signal(SIGTERM, [](int) { _exit(0); });
	int one = 1, zero = 0, l = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sockaddr_in6 a{};
	a.sin6_family = AF_INET6;
	a.sin6_port = htons(atoi(argv[1]));
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
	if (bind(l, reinterpret_cast<sockaddr *>(&a), sizeof a) != 0 || listen(l, 511) != 0) {
		perror("listen");
		return 1;
	}
	std::vector<int> polls;
	for (int i = 0; i < 2; i++) {
		polls.push_back(epoll_create1(EPOLL_CLOEXEC));
		std::thread(worker, polls.back()).detach();
	}
	for (size_t i = 0;; i++) {
		int fd = accept4(l, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			perror("accept4");
			return 1;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		epoll_event e{};
		e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
		e.data.ptr = new Connection(fd);
		epoll_ctl(polls[i % polls.size()], EPOLL_CTL_ADD, fd, &e);
	}
}
