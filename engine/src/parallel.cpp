#include "coppice/engine/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "coppice/engine/cpu.h"
#include "coppice/engine/error.h"

#ifndef COPPICE_NO_TBB  // defined for small static programs: every loop then runs on the caller
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>
#endif

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

Rows nth_range(std::int64_t i, std::int64_t n, std::int64_t grain) {
  return {i * grain, std::min((i + 1) * grain, n)};
}

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

/// The arena of the current thread count. Kept alive by the calls that run in it, so that the count may change meanwhile.
struct Pool {
  explicit Pool(int count) : arena(count) {}
  tbb::task_arena arena;
#ifdef COPPICE_TSAN
  Observer observer{arena};
#endif
};

std::shared_ptr<Pool> pool_of(int count) {
  static std::mutex mutex;
  static std::shared_ptr<Pool> pool;
  static int size = 0;
  const std::lock_guard lock(mutex);
  if (size != count) {
    // oneTBB starts no more workers than there are processors unless allowed to, and warns on stderr when the
    // permission comes after its first use. Allowing more starts none.
    static const tbb::global_control allow(tbb::global_control::max_allowed_parallelism,
                                           static_cast<std::size_t>(std::max(processors(), kMaxThreads)));
    pool = std::make_shared<Pool>(count);
    size = count;
  }
  return pool;
}

/// One parallel_for: ranges are taken from a counter, so a late worker costs nothing and the rest stays balanced.
struct Job {
  std::int64_t n, grain, count;
  FunctionRef<void(Rows)> body;
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error{};

  void work() {
    const tsan::Watched watched(this);
    const FlushSubnormals flush;
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
  if (tasks > 1) {
    Job job{n, grain, count, body};
    const std::shared_ptr<Pool> pool = inside ? nullptr : pool_of(available);
    {
      const tsan::Ignored ignored(&job);
      if (pool) pool->arena.execute([&] { run(job, tasks); });
      else run(job, tasks);
    }
    if (job.error) std::rethrow_exception(job.error);
    return;
  }
#endif
  const FlushSubnormals flush;
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
