#include "coppice/engine/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "coppice/engine/error.h"

#ifndef COPPICE_NO_TBB  // defined for small static programs: every loop then runs on the caller
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>
#endif

#include "float_unit.h"
#include "thread_sanitizer.h"

namespace coppice {
namespace {

constexpr int kMaxThreads = 256;

[[maybe_unused]] int processors() {
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int initial_threads() {
#ifdef COPPICE_NO_TBB
  return 1;
#else
  if (const char* text = std::getenv("COPPICE_NUM_THREADS")) {
    int count = 0;
    const auto end = text + std::strlen(text);
    const auto [stop, error] = std::from_chars(text, end, count);
    if (error == std::errc{} && stop == end && count >= 1 && count <= kMaxThreads) return count;
  }
  return std::min(processors(), kMaxThreads);
#endif
}

std::atomic<int>& threads() {
  static std::atomic<int> count{initial_threads()};
  return count;
}

Rows nth_range(std::int64_t i, std::int64_t n, std::int64_t grain) { return {i * grain, std::min((i + 1) * grain, n)}; }

#ifndef COPPICE_NO_TBB

#ifdef COPPICE_TSAN
struct Observer : tbb::task_scheduler_observer {
  explicit Observer(tbb::task_arena& arena) : tbb::task_scheduler_observer(arena) { observe(true); }
  ~Observer() override { observe(false); }
  void on_scheduler_entry(bool worker) override {
    if (worker) tsan::ignore_this_thread();
  }
};
#endif

/// The arena of the current thread count. Kept alive by the calls that run in it, so that the count may change
/// meanwhile.
struct Pool {
  explicit Pool(int count) : arena(count) {}
  tbb::task_arena arena;
#ifdef COPPICE_TSAN
  Observer observer{arena};
#endif
};

/// Bytes of addresses that this process may still take; nothing where there is no limit to them (ulimit -v).
std::optional<std::uint64_t> free_addresses() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const std::uint64_t taken = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return limit.rlim_cur - std::min<std::uint64_t>(taken, limit.rlim_cur);
}

/// How many of `count` workers the system would start now: all of them, or fewer than it has.
///
/// oneTBB starts its workers from one another, where nobody could catch that there are no more threads or no more
/// addresses for them: the process would end. So they are started here for trial, all at once, and end again.
int startable(int count) {
  const std::size_t stack = tbb::global_control::active_value(tbb::global_control::thread_stack_size);
  if (const auto room = free_addresses()) {
    // Half of the room is left for data. The heap that a thread's first allocation brings takes what it can get.
    constexpr std::uint64_t kHeap = std::uint64_t{1} << 27;
    count = static_cast<int>(std::min<std::uint64_t>(static_cast<std::uint64_t>(count), *room / 2 / (stack + kHeap)));
  }
  // A few more, since those that ended may be counted for another moment, and others start threads as well.
  const int spare = count > 0 ? 1 + count / 4 : 0;
  const auto trial = static_cast<std::size_t>(count + spare);
  std::vector<pthread_t> started;
  started.reserve(trial);
  std::mutex gate;  // closed until all are there
  {
    const std::lock_guard closed(gate);
    const auto pass = [](void* at) -> void* {
      const std::lock_guard passed(*static_cast<std::mutex*>(at));
      return nullptr;
    };
    pthread_t thread{};
    while (started.size() < trial && pthread_create(&thread, nullptr, pass, &gate) == 0) started.push_back(thread);
  }
  for (const pthread_t thread : started) pthread_join(thread, nullptr);
  return std::clamp(static_cast<int>(started.size()) - spare, 0, count);
}

/// Keeps all threads of a pool in their first task until each has one, or a moment is over.
void start_all(Pool& pool, int count) {
  std::mutex mutex;
  std::condition_variable all_here;
  int here = 0;
  const auto moment = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
  pool.arena.execute([&] {
    tbb::parallel_for(
        0, count,
        [&](int) {
          std::unique_lock lock(mutex);
          if (++here == count)
            all_here.notify_all();
          else
            all_here.wait_until(lock, moment, [&] { return here == count; });
        },
        tbb::simple_partitioner{});
  });
}

/// The pool for this many threads, or for as many as the system has; null where that is one.
std::shared_ptr<Pool> pool_of(int count) {
  static std::mutex mutex;
  static std::shared_ptr<Pool> pool;
  static int size = 0;
  static int proven = 1;
  const std::lock_guard lock(mutex);
  if (count > proven) {
    const int possible = 1 + startable(count - 1);
    // Results do not depend on the number, so fewer will do. num_threads() tells.
    if (int asked = count; possible < asked) threads().compare_exchange_strong(asked, possible);
    proven = std::max(proven, possible);
    count = std::min(count, possible);
  }
  if (count == 1) return nullptr;
  if (size != count) {
    // oneTBB starts no more workers than there are processors unless allowed to, and warns on stderr when the
    // permission comes after its first use. Allowing more starts none.
    static const tbb::global_control allow(tbb::global_control::max_allowed_parallelism,
                                           static_cast<std::size_t>(std::max(processors(), kMaxThreads)));
    pool = std::make_shared<Pool>(count);
    size = count;
    // Otherwise they start when they are needed; here there might be no room for them any more.
    if (free_addresses()) start_all(*pool, count);
  }
  return pool;
}

/// One parallel_for: ranges are taken from a counter, so a late worker costs nothing and the rest stays balanced.
struct Job {
  std::int64_t n, grain, count;
  FunctionRef<void(Rows)> body;
  std::uint64_t flush_state = detail::flush_state();  // the caller's
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error{};

  void work() {
    const tsan::Watched watched(this);
    const detail::WithFlushState as_caller(flush_state);
    for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_acq_rel)) < count;) {
      try {
        body(nth_range(i, n, grain));
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
        next.store(count);  // ranges not yet started are skipped
      }
    }
  }
};

thread_local bool inside = false;  // this thread runs a body: its arena is the right one already

struct Inside {
  bool before = inside;
  Inside() { inside = true; }
  ~Inside() { inside = before; }
};

void run(Job& job, int tasks) {
  // Isolated: a thread that waits here must not start a range of an outer loop in the middle of its own.
  tbb::this_task_arena::isolate([&] {
    tbb::parallel_for(
        0, tasks,
        [&](int) {
          const Inside guard;
          job.work();
        },
        tbb::simple_partitioner{});
  });
}

#endif

}  // namespace

void parallel_for(std::int64_t n, std::int64_t grain, FunctionRef<void(Rows)> body) {
  if (n <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  const std::int64_t count = (n - 1) / grain + 1;
#ifndef COPPICE_NO_TBB
  const int available = threads().load(std::memory_order_relaxed);
  const int tasks = static_cast<int>(std::min<std::int64_t>(available, count));
  const std::shared_ptr<Pool> pool = tasks > 1 && !inside ? pool_of(available) : nullptr;
  if (pool != nullptr || (tasks > 1 && inside)) {
    Job job{n, grain, count, body};
    {
      const tsan::Ignored ignored(&job);
      if (pool)
        pool->arena.execute([&] { run(job, tasks); });
      else
        run(job, tasks);
    }
    if (job.error) std::rethrow_exception(job.error);
    return;
  }
#endif
  for (std::int64_t i = 0; i < count; ++i) body(nth_range(i, n, grain));
}

int num_threads() { return threads().load(std::memory_order_relaxed); }

void set_num_threads(int count) {
  if (count < 1) throw ValueError(cat("[set_num_threads] the count must be at least 1; got ", count));
#ifdef COPPICE_NO_TBB
  count = 1;
#endif
  threads().store(std::min(count, kMaxThreads), std::memory_order_relaxed);
}

}  // namespace coppice
