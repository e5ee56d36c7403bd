// adjtimex and clock_adjtime: what they read, set and refuse. Reading and refusals run
// everywhere; what would change the clock of a host runs in the guest, and with
// SET_CLOCK=1 on a Linux machine whose clock may be set.
#include "check.h"
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static int may_set;

#define SET(name, condition) OK(name, !may_set || (condition))

static struct timex x;

static int adjust(unsigned modes)
{
	x.modes = modes;
	return syscall(SYS_adjtimex, &x);
}

static void reading(void)
{
	memset(&x, 0x55, sizeof x);
	int state = adjust(0);
	OK("a state", state >= TIME_OK && state <= TIME_ERROR);
	OK("which the status tells", (state == TIME_ERROR) == ((x.status & (STA_UNSYNC | STA_CLOCKERR)) != 0));
	EQ("modes stay", x.modes, 0);
	EQ("precision", x.precision, 1);
	EQ("tolerance", x.tolerance, 32768000);
	OK("tick", x.tick >= 9000 && x.tick <= 11000);
	OK("frequency", x.freq >= -32768000 && x.freq <= 32768000);
	OK("errors", x.maxerror >= 0 && x.maxerror <= 16000000 && x.esterror >= 0 && x.esterror <= 16000000);
	OK("constant", x.constant >= 0 && x.constant <= 10);
	OK("no pulse each second", !x.ppsfreq && !x.jitter && !x.shift && !x.stabil && !x.jitcnt && !x.calcnt && !x.errcnt && !x.stbcnt);
	OK("time", llabs((long long)time(NULL) - x.time.tv_sec) < 30 && x.time.tv_usec >= 0 && x.time.tv_usec < 1000000000);
	OK("TAI", x.tai >= 0 && llabs(now_ns(CLOCK_TAI) - now_ns(CLOCK_REALTIME) - x.tai * 1000000000LL) < 500000000);
	struct timex y;
	memset(&y, 0, sizeof y);
	EQ("clock_adjtime tells the same", clock_adjtime(CLOCK_REALTIME, &y), state);
	OK("fields", y.tick == x.tick && y.tolerance == x.tolerance && y.tai == x.tai && y.status == x.status);
	memset(&x, 0, sizeof x);
	EQ("ADJ_OFFSET_SS_READ", adjust(ADJ_OFFSET_SS_READ), state);
	EQ("what adjtime has left", x.offset, 0);
	struct timeval left;
	EQ("adjtime reads it", adjtime(NULL, &left), 0);
}

static void refusals(void)
{
	struct timex y = {0};
	FAILS("address", syscall(SYS_adjtimex, 8), EFAULT);
	FAILS("address of clock_adjtime", syscall(SYS_clock_adjtime, CLOCK_REALTIME, 8), EFAULT);
	FAILS("address before the clock", syscall(SYS_clock_adjtime, 99, 8), EFAULT);
	FAILS("unknown clock", syscall(SYS_clock_adjtime, 99, &y), EINVAL);
	clockid_t others[] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, CLOCK_MONOTONIC_RAW};
	for (int i = 0; i < 5; i++)
		FAILS("another clock", syscall(SYS_clock_adjtime, others[i], &y), EOPNOTSUPP);
	memset(&x, 0, sizeof x);
	x.tick = 8999;
	FAILS("a short tick", adjust(ADJ_TICK), EINVAL);
	x.tick = 11001;
	FAILS("a long tick", adjust(ADJ_TICK), EINVAL);
	x.time.tv_usec = -1;
	FAILS("a negative fraction", adjust(ADJ_SETOFFSET), EINVAL);
	x.time.tv_usec = 1000000;
	FAILS("too many microseconds", adjust(ADJ_SETOFFSET), EINVAL);
	x.time.tv_usec = 1000000000;
	FAILS("too many nanoseconds", adjust(ADJ_SETOFFSET | ADJ_NANO), EINVAL);
	x.time = (struct timeval){-now_ns(CLOCK_REALTIME) / 1000000000 - 10, 0};
	FAILS("to before the epoch", adjust(ADJ_SETOFFSET), EINVAL);
	x.time = (struct timeval){LONG_MAX / 2, 0};
	FAILS("to the far future", adjust(ADJ_SETOFFSET), EINVAL);
	x.freq = LONG_MAX;
	FAILS("a frequency out of range", adjust(ADJ_FREQUENCY), EINVAL);
	x.freq = LONG_MIN;
	FAILS("a negative one", adjust(ADJ_FREQUENCY), EINVAL);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		unsigned modes[] = {ADJ_OFFSET, ADJ_FREQUENCY, ADJ_STATUS, ADJ_TICK, ADJ_TAI, ADJ_SETOFFSET, ADJ_NANO, ADJ_OFFSET_SINGLESHOT};
		setuid(1000);
		memset(&x, 0, sizeof x);
		OK("another user reads", adjust(0) >= 0);
		OK("and what adjtime has left", adjust(ADJ_OFFSET_SS_READ) >= 0);
		for (int i = 0; i < 8; i++) {
			memset(&x, 0, sizeof x);
			FAILS("another user sets", adjust(modes[i]), EPERM);
		}
		x.tick = 1;
		FAILS("even what is wrong", adjust(ADJ_TICK), EPERM);
		done();
	}
	int status;
	waitpid(pid, &status, 0);
	EQ("the child's failures", status, 0);
}

static int seen(long long got, long long want) { return got == want; }

static void setting(void)
{
	memset(&x, 0, sizeof x);
	x.freq = 123 << 16;
	SET("frequency", adjust(ADJ_FREQUENCY) >= 0 && seen(x.freq, 123 << 16));
	x.freq = -(600LL << 16);
	SET("a frequency beyond 500 ppm is cut", adjust(ADJ_FREQUENCY) >= 0 && seen(x.freq, -(500 << 16)));
	x.freq = 0;
	SET("back to 0", adjust(ADJ_FREQUENCY) >= 0 && seen(x.freq, 0));
	x.tick = 10001;
	SET("tick", adjust(ADJ_TICK) >= 0 && seen(x.tick, 10001));
	x.tick = 10000;
	SET("back to 10000", adjust(ADJ_TICK) >= 0 && seen(x.tick, 10000));
	x.status = 0;
	SET("status: in step", adjust(ADJ_STATUS) == TIME_OK && seen(x.status, 0));
	x.status = STA_PLL | STA_NANO | STA_CLOCKERR;
	SET("bits that cannot be set", adjust(ADJ_STATUS) == TIME_OK && seen(x.status, STA_PLL));
	SET("nanoseconds", adjust(ADJ_NANO) == TIME_OK && seen(x.status, STA_PLL | STA_NANO));
	SET("microseconds", adjust(ADJ_MICRO) == TIME_OK && seen(x.status, STA_PLL));
	x.maxerror = 5000;
	x.esterror = 6000;
	SET("errors", adjust(ADJ_MAXERROR | ADJ_ESTERROR) == TIME_OK && x.maxerror >= 5000 && x.maxerror < 100000 && seen(x.esterror, 6000));
	if (may_set)
		sleep_ms(2200);
	SET("the maximum error grows", adjust(0) == TIME_OK && x.maxerror >= 5500 && seen(x.esterror, 6000));
	x.maxerror = x.esterror = 20000000;
	SET("errors beyond the limit", adjust(ADJ_MAXERROR | ADJ_ESTERROR) >= 0 && seen(x.maxerror, 16000000) && seen(x.esterror, 16000000));
	x.maxerror = x.esterror = 1000;
	SET("small again", adjust(ADJ_MAXERROR | ADJ_ESTERROR) >= 0);
	x.constant = 3;
	SET("time constant", adjust(ADJ_TIMECONST) >= 0 && seen(x.constant, 7));
	x.constant = 3;
	SET("with nanoseconds", adjust(ADJ_TIMECONST | ADJ_NANO) >= 0 && seen(x.constant, 3));
	x.constant = 30;
	SET("at most 10", adjust(ADJ_TIMECONST) >= 0 && seen(x.constant, 10));
	x.status = 0;
	SET("without PLL the clock is out of step", adjust(ADJ_STATUS | ADJ_MICRO) == TIME_OK || x.status & STA_UNSYNC);
	x.constant = 37;
	SET("TAI", adjust(ADJ_TAI) >= 0 && seen(x.tai, 37));
	SET("CLOCK_TAI", llabs(now_ns(CLOCK_TAI) - now_ns(CLOCK_REALTIME) - 37000000000LL) < 500000000);
	struct timespec t;
	SET("by system call", syscall(SYS_clock_gettime, CLOCK_TAI, &t) == 0 && llabs(t.tv_sec - time(NULL) - 37) < 2);
	x.constant = -1;
	SET("no negative one", adjust(ADJ_TAI) >= 0 && seen(x.tai, 37));
	x.constant = 0;
	SET("back", adjust(ADJ_TAI) >= 0 && seen(x.tai, 0));
	x.status = 0;
	adjust(may_set ? ADJ_STATUS : 0);
	int64_t r0 = now_ns(CLOCK_REALTIME), m0 = now_ns(CLOCK_MONOTONIC);
	x.time = (struct timeval){100, 500000000};
	SET("ADJ_SETOFFSET", adjust(ADJ_SETOFFSET | ADJ_NANO) >= 0);
	int64_t moved = now_ns(CLOCK_REALTIME) - r0 - (now_ns(CLOCK_MONOTONIC) - m0);
	SET("moves the clock", llabs(moved - 100500000000LL) < 50000000);
	SET("and nobody knows how wrong it is", adjust(0) == TIME_ERROR && x.status & STA_UNSYNC && x.maxerror == 16000000);
	x.time = (struct timeval){-101, 500000};
	SET("back by a fraction", adjust(ADJ_SETOFFSET | ADJ_MICRO) >= 0);
	moved = now_ns(CLOCK_REALTIME) - r0 - (now_ns(CLOCK_MONOTONIC) - m0);
	SET("it is where it was", llabs(moved) < 50000000);
}

int main(void)
{
	struct utsname u;
	uname(&u);
	may_set = strstr(u.release, "gosv") != NULL || getenv("SET_CLOCK") != NULL;
	reading();
	refusals();
	setting();
	done();
}
