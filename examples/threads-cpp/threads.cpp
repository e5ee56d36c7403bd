// A dynamically linked C++ program: threads, thread-locals, exceptions, iostreams.
#include <iostream>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

static thread_local int mine = 0;

int main()
{
	std::mutex m;
	int total = 0;
	std::vector<std::thread> threads;
	for (int i = 1; i <= 4; i++)
		threads.emplace_back([&, i] {
			mine += i;
			std::lock_guard<std::mutex> hold(m);
			total += mine;
		});
	for (auto &t : threads)
		t.join();
	try {
		throw std::runtime_error("caught an exception");
	} catch (const std::exception &e) {
		std::cout << "hello from C++: 4 threads, total " << total << ", " << e.what() << std::endl;
	}
}
