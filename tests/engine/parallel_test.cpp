#include "coppice/engine/parallel.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "coppice/engine.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // GCC's words
#define COPPICE_UNLIMITED
#elif defined(__has_feature)  // Clang's
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COPPICE_UNLIMITED
#endif
#endif

using namespace coppice;

namespace {

struct Threads {  // restores the count at the end of a test
  int before = num_threads();
  ~Threads() { set_num_threads(before); }
};

/// Sum of 1/(i+1) in float, with one partial sum per range added in order.
float harmonic(std::int64_t n, std::int64_t grain) {
  std::vector<float> part(static_cast<std::size_t>((n + grain - 1) / grain));
  parallel_for(n, grain, [&](Rows rows) {
    float sum = 0;
    for (auto i = rows.begin; i < rows.end; ++i) sum += 1.0f / static_cast<float>(i + 1);
    part[static_cast<std::size_t>(rows.begin / grain)] = sum;
  });
  float total = 0;
  for (const float p : part) total += p;
  return total;
}

}  // namespace

TEST_SUITE("engine/parallel") {
  TEST_CASE("every index is visited once, in ranges cut at multiples of the grain") {
    const Threads restore;
    for (const int threads : {1, 2, 7}) {
      set_num_threads(threads);
      for (const std::int64_t n : {0, 1, 9, 10, 11, 1000}) {
        CAPTURE(threads);
        CAPTURE(n);
        std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
        std::mutex mutex;
        std::set<std::int64_t> starts;
        parallel_for(n, 10, [&](Rows rows) {
          const std::lock_guard lock(mutex);
          starts.insert(rows.begin);
          CHECK(rows.end == std::min<std::int64_t>(rows.begin + 10, n));
          for (auto i = rows.begin; i < rows.end; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        for (const auto& v : visits) CHECK(v == 1);
        CHECK(starts.size() == static_cast<std::size_t>((n + 9) / 10));
        for (const std::int64_t s : starts) CHECK(s % 10 == 0);
      }
    }
  }

  TEST_CASE("a sum by ranges has the same bits for 1, 2 and 7 threads") {
    const Threads restore;
    set_num_threads(1);
    const float one = harmonic(100'000, 333);
    set_num_threads(2);
    CHECK(harmonic(100'000, 333) == one);
    set_num_threads(7);
    CHECK(harmonic(100'000, 333) == one);
  }

  TEST_CASE("an exception of a body reaches the caller and the next loop works") {
    const Threads restore;
    for (const int threads : {1, 2, 7}) {
      CAPTURE(threads);
      set_num_threads(threads);
      for (int repeat = 0; repeat < 20; ++repeat) {
        CHECK_THROWS_WITH_AS(parallel_for(1000, 10,
                                          [&](Rows rows) {
                                            if (rows.begin >= 500) throw ValueError("[body] five hundred");
                                          }),
                             "[body] five hundred", ValueError);
        std::atomic<std::int64_t> sum{0};
        parallel_for(1000, 10, [&](Rows rows) { sum += rows.size(); });
        CHECK(sum == 1000);
      }
    }
  }

  TEST_CASE("loops nest, and the inner one throws through the outer one") {
    const Threads restore;
    for (const int threads : {1, 2, 7}) {
      CAPTURE(threads);
      set_num_threads(threads);
      std::atomic<std::int64_t> cells{0};
      parallel_for(20, 1, [&](Rows) { parallel_for(30, 1, [&](Rows rows) { cells += rows.size(); }); });
      CHECK(cells == 600);
      CHECK_THROWS_AS(parallel_for(20, 1, [&](Rows) { parallel_for(30, 1, [](Rows) { throw StateError("inner"); }); }),
                      StateError);
    }
  }

  TEST_CASE("a thread inside a nested loop starts no other range of the outer loop") {
    const Threads restore;
    set_num_threads(7);
    std::atomic<int> reentered{0};
    parallel_for(64, 1, [&](Rows) {
      thread_local int depth = 0;
      if (depth != 0) ++reentered;
      ++depth;
      parallel_for(16, 1, [](Rows) { std::this_thread::yield(); });
      --depth;
    });
    CHECK(reentered == 0);
  }

  TEST_CASE("several threads may run loops at the same time") {
    const Threads restore;
    set_num_threads(2);
    std::vector<std::thread> users;
    std::vector<float> sums(6);
    for (std::size_t u = 0; u < sums.size(); ++u)
      users.emplace_back([&sums, u] {
        for (int repeat = 0; repeat < 20; ++repeat) sums[u] = harmonic(5000, 50);
      });
    for (auto& user : users) user.join();
    for (const float sum : sums) CHECK(sum == sums[0]);
  }

  TEST_CASE("bodies treat subnormals as their caller does, on every thread, and nothing of it stays") {
    const Threads restore;
    // Counts how many of 64 ranges keep half of the smallest normal number, and lets every thread have some.
    const auto kept = [] {
      static volatile float tiny = std::numeric_limits<float>::min();
      std::atomic<int> count{0};
      parallel_for(64, 1, [&](Rows) {
        volatile float half = tiny * 0.5f;
        if (half != 0) ++count;
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      });
      return count.load();
    };
    for (const int threads : {1, 2, 7}) {
      CAPTURE(threads);
      set_num_threads(threads);
      CHECK(kept() == 64);
      {
        const FlushSubnormals flush;
        CHECK(kept() == 0);
        std::atomic<int> inner{0};
        parallel_for(4, 1, [&](Rows) { inner += kept(); });  // loops inside loops as well
        CHECK(inner == 0);
      }
      CHECK(kept() == 64);
      std::atomic<int> one{0};
      parallel_for(4, 1, [&](Rows rows) {
        if (rows.begin != 2) return;
        const FlushSubnormals flush;  // a body that flushes, and a loop inside of it
        one += kept();
      });
      CHECK(one == 0);
      CHECK(kept() == 64);
    }
  }

  TEST_CASE("arithmetic of tensors keeps subnormal numbers, in sizes of one task and of many") {
    const Threads restore;
    for (const int threads : {1, 2, 7}) {
      set_num_threads(threads);
      for (const std::int64_t n : {std::int64_t{3}, std::int64_t{300'000}}) {
        const Tensor tiny = full({n}, 1e-40);
        CHECK(tiny * 1.0 == tiny);
        CHECK(tiny + zeros({n}) == tiny);
        CHECK(abs(neg(tiny)) == tiny);
        CHECK(norm(tiny.reshape({n, 1}), 0, {1}) == ones({n}));
        CHECK(norm(tiny, NormOrder(INFINITY)) == Tensor::of(1e-40));
        CHECK(matmul(tiny.reshape({n, 1}), ones({1, 1})).reshape({n}) == tiny);
        CHECK(max(tiny) == Tensor::of(1e-40));
      }
    }
  }

  TEST_CASE("products of packed matrices flush subnormals, wherever they run") {
    const Threads restore;
    const Tensor weight = Tensor::of({{1, 0}, {0, 1}});
    for (const int threads : {1, 2, 7}) {
      set_num_threads(threads);
      for (const PackedFormat format : all_packed_formats()) {
        CAPTURE(to_string(format));
        const PackedMatrix packed = PackedMatrix::pack(weight, format);
        for (const std::int64_t batch : {1, 3, 64, 5000}) {
          const Tensor x = full({batch, 2}, 1e-40);
          CHECK(linear(x, packed) == zeros({batch, 2}));
          CHECK(packed.linear(x, Tensor()) == zeros({batch, 2}));
          std::vector<float> y(static_cast<std::size_t>(2 * batch), 1.0f);
          packed.multiply(x.data<float>(), batch, y);
          CHECK(Tensor::from(y, {2, batch}) == zeros({2, batch}));
          CHECK(conv2d(x.reshape({batch, 2, 1, 1}), packed, {}, {1, 1}, {}) == zeros({batch, 2, 1, 1}));
        }
        CHECK(full({2}, 1e-40) * 1.0 == full({2}, 1e-40));  // it ended with the product
      }
    }
  }

  TEST_CASE("the thread count is at least one") {
    const Threads restore;
    CHECK_THROWS_AS(set_num_threads(0), ValueError);
    CHECK_THROWS_AS(set_num_threads(-3), ValueError);
    set_num_threads(3);
    CHECK(num_threads() == 3);
  }

  // Run by the next one in a process of few addresses.
  TEST_CASE("more threads than the system starts" * doctest::skip()) {
    set_num_threads(1);
    const float one = harmonic(100'000, 100);
    set_num_threads(256);
    for (int repeat = 0; repeat < 50; ++repeat) CHECK(harmonic(100'000, 100) == one);
    CHECK(num_threads() < 256);
    set_num_threads(256);
    CHECK(harmonic(100'000, 100) == one);
    std::vector<char> rest(20'000'000);  // there is room for data still
    CHECK(rest[0] == 0);
  }

  TEST_CASE("fewer threads are used where the system starts no more") {
#ifndef COPPICE_UNLIMITED  // the sanitizers need addresses without limit
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    for (const int kilobytes : {200'000, 400'000, 800'000}) {
      CAPTURE(kilobytes);
      const std::string command = cat("ulimit -v ", kilobytes, " && exec '", self,
                                      "' --no-skip --test-case='more threads than the system starts' > /dev/null");
      CHECK(std::system(command.c_str()) == 0);
    }
#endif
  }
}
