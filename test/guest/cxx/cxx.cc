// C++: exceptions through libraries and threads, streams, thread-locals,
// containers, futures, static construction order.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static int failures;

template <class T, class U> static void eq(const char *name, const T &got, const U &want)
{
	if (got == want)
		std::cout << "ok " << name << '\n';
	else {
		std::cout << "not ok " << name << ": got " << got << " want " << want << '\n';
		failures++;
	}
}

struct Trace {
	static std::string log;
	std::string name;
	explicit Trace(std::string n) : name(std::move(n)) { log += "+" + name; }
	~Trace() { log += "-" + name; }
};
std::string Trace::log;

static thread_local Trace *slot;
static thread_local struct Counter {
	int n = 100;
	~Counter() { destroyed++; }
	static std::atomic<int> destroyed;
} counter;
std::atomic<int> Counter::destroyed;

static int deep(int n)
{
	Trace t(std::to_string(n));
	if (n == 0)
		throw std::out_of_range("deep");
	return deep(n - 1) + 1;
}

static struct Early {
	std::vector<int> v{3, 1, 2};
	Early() { std::sort(v.begin(), v.end()); }
} early;

int main()
{
	eq("static construction", early.v.back(), 3);
	std::string what;
	try {
		deep(3);
	} catch (const std::exception &e) {
		what = e.what();
	}
	eq("exception", what, "deep");
	eq("unwinding", Trace::log, "+3+2+1+0-0-1-2-3");
	try {
		try {
			std::vector<int>().at(5);
		} catch (...) {
			std::throw_with_nested(std::runtime_error("outer"));
		}
	} catch (const std::exception &e) {
		what = e.what();
		try {
			std::rethrow_if_nested(e);
		} catch (const std::out_of_range &) {
			what += " inner";
		}
	}
	eq("nested exception", what, "outer inner");
	try {
		(void)std::stoi("not a number");
		what = "none";
	} catch (const std::invalid_argument &e) {
		what = e.what();
	}
	eq("exception of the library", what, "stoi");
	bool oom = false;
	try {
		std::unique_ptr<char[]> p(new char[1UL << 60]);
	} catch (const std::bad_alloc &) {
		oom = true;
	}
	eq("bad_alloc", oom, true);

	std::ostringstream s;
	s << std::setw(8) << std::setfill('*') << 42 << ' ' << std::hex << 255 << ' ' << std::fixed << std::setprecision(3) << 3.14159;
	eq("streams", s.str(), "******42 ff 3.142");
	std::istringstream in("1 two 3.5");
	int a;
	std::string b;
	double c;
	in >> a >> b >> c;
	eq("input streams", a + c, 4.5);

	std::atomic<int> sum{0};
	std::vector<std::thread> threads;
	for (int i = 0; i < 8; i++)
		threads.emplace_back([i, &sum] {
			counter.n += i;
			std::this_thread::yield();
			sum += counter.n;
		});
	for (auto &t : threads)
		t.join();
	eq("threads with thread-locals", sum.load(), 8 * 100 + 28);
	eq("thread-locals destroyed", Counter::destroyed.load(), 8);
	eq("thread-local pointer", slot == nullptr, true);
	auto f = std::async(std::launch::async, [] { return std::string("from a thread"); });
	eq("future", f.get(), "from a thread");
	auto g = std::async(std::launch::async, []() -> int { throw std::logic_error("thrown in a thread"); });
	try {
		g.get();
	} catch (const std::logic_error &e) {
		what = e.what();
	}
	eq("exception across threads", what, "thrown in a thread");

	std::mutex m;
	std::condition_variable cv;
	std::vector<int> queue;
	bool closed = false;
	long total = 0;
	std::thread consumer([&] {
		std::unique_lock<std::mutex> l(m);
		for (;;) {
			cv.wait(l, [&] { return !queue.empty() || closed; });
			if (queue.empty())
				return;
			for (int v : queue)
				total += v;
			queue.clear();
		}
	});
	for (int i = 1; i <= 1000; i++) {
		std::lock_guard<std::mutex> l(m);
		queue.push_back(i);
		cv.notify_one();
	}
	{
		std::lock_guard<std::mutex> l(m);
		closed = true;
	}
	cv.notify_one();
	consumer.join();
	eq("condition variable", total, 500500);
	std::unique_lock<std::mutex> l(m);
	auto t0 = std::chrono::steady_clock::now();
	cv.wait_for(l, std::chrono::milliseconds(20), [] { return false; });
	eq("wait_for is not early", std::chrono::steady_clock::now() - t0 >= std::chrono::milliseconds(20), true);
	std::map<std::string, int> words;
	for (const char *w : {"x", "y", "x", "z", "x"})
		words[w]++;
	eq("map", words["x"], 3);
	std::function<int(int)> fib = [&](int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); };
	eq("function", fib(20), 6765);
	std::cerr << "to the error stream" << std::endl;
	return failures;
}
