/// Many threads on one model, and bodies of loops that throw. `./coppice test --threads` runs it under ThreadSanitizer.

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "coppice/nn.h"

using namespace coppice;

// oneTBB's library is not instrumented: what its own threads hand to one another looks like races.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:libtbb\n"; }

namespace {

struct Threads {  // restores the count at the end of a test
  int before = num_threads();
  ~Threads() { set_num_threads(before); }
};

/// An exception that knows how many of its kind are alive.
struct Counted : std::exception {
  inline static std::atomic<int> alive{0};
  Counted() { ++alive; }
  Counted(const Counted&) noexcept : std::exception() { ++alive; }
  Counted& operator=(const Counted&) = default;
  ~Counted() override { --alive; }
};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.bytes(), b.bytes(), a.nbytes()) == 0;
}

/// One layer of every kind that a const model may hold: convolution, pooling, masked and packed weights, statistics.
nn::ModulePtr network() {
  manual_seed(1);
  const auto model = nn::parse_architecture(R"({"type": "Sequential", "modules": [
      {"type": "Conv2d", "args": {"in_channels": 1, "out_channels": 8, "kernel_size": 3, "padding": 1}},
      {"type": "BatchNorm2d", "args": {"num_features": 8}},
      {"type": "ReLU"},
      {"type": "MaxPool2d", "args": {"kernel_size": 2}},
      {"type": "Flatten"},
      {"type": "Linear", "args": {"in_features": 128, "out_features": 32}},
      {"type": "Dropout", "args": {"p": 0.5}},
      {"type": "Linear", "args": {"in_features": 32, "out_features": 10}}]})");
  nn::set_mask(*model->find_module("5"), "weight", ge(rand({32, 128}), full({1}, 0.5)).to(Dtype::f32));
  model->add_module("7", nn::PackedLinear::from_dense(model->find_module("7")->tensor("weight"), ones({10}), "block4"));
  model->eval();
  return model;
}

/// A class of a program's, with children that it names.
class Named final : public nn::Implements<Named> {
 public:
  static constexpr std::string_view kType = "test.Named";
  nn::Child<nn::Linear> first{*this, "first", 4, 4};
  nn::Child<nn::Linear> second{*this, "second", 4, 1};

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return second(first(x)); }
};

}  // namespace

TEST_SUITE("hostile/threads") {
  TEST_CASE("threads that clone and call one module with handles, and meet errors in it, do not meet one another") {
    const auto model =
        std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{std::make_shared<Named>()});
    const nn::Module& shared = *model;
    const Tensor x = ones({2, 4});
    const Tensor expected = shared(x);
    std::atomic<int> right{0};
    std::vector<std::thread> users;
    for (int u = 0; u < 8; ++u)
      users.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          const nn::ModulePtr copy = shared.clone();
          right += (*copy)(x) == expected && shared(x) == expected ? 1 : 0;
          try {
            (void)shared(ones({2, 3}));
          } catch (const ShapeError& e) {
            right += std::string(e.what()).starts_with("in '0.first' (Linear): ") ? 1 : 0;
          }
        }
      });
    for (std::thread& user : users) user.join();
    CHECK(right == 320);
  }

  TEST_CASE("sixteen threads on one const model get the bits that one thread gets") {
    const Threads restore;
    const nn::ModulePtr model = network();
    const nn::Module& shared = *model;
    std::vector<Tensor> inputs, expected;
    manual_seed(2);
    for (int i = 0; i < 4; ++i) inputs.push_back(rand({i == 0 ? 1 : 16, 1, 8, 8}));
    const nn::ModulePtr apart = model->clone();  // the threads must meet a model that nobody ran before
    for (const Tensor& x : inputs) {
      const NoGrad inference;
      expected.push_back((*apart)(x));
    }
    for (const int threads : {1, 2}) {
      set_num_threads(threads);
      std::atomic<int> different{0};
      std::vector<std::thread> users;
      for (int u = 0; u < 16; ++u)
        users.emplace_back([&, u] {
          const NoGrad inference;
          for (int i = 0; i < 12; ++i) {
            const auto k = static_cast<std::size_t>(u + i) % inputs.size();
            const Tensor y = shared(inputs[k]);
            if (!same_bits(y, expected[k])) ++different;
          }
        });
      for (std::thread& user : users) user.join();
      CHECK(different == 0);
    }
  }

  TEST_CASE("bodies that all throw: one exception reaches the caller, none is left, and the next loop works") {
    const Threads restore;
    for (const int threads : {1, 2, 7}) {
      CAPTURE(threads);
      set_num_threads(threads);
      for (int repeat = 0; repeat < 20; ++repeat) {
        int caught = 0;
        try {
          parallel_for(1000, 1, [](Rows) { throw Counted(); });
        } catch (const Counted&) {
          ++caught;
        }
        CHECK(caught == 1);
        CHECK(Counted::alive == 0);
        std::atomic<std::int64_t> sum{0};
        parallel_for(1000, 10, [&](Rows rows) { sum += rows.size(); });
        CHECK(sum == 1000);
      }
    }
  }

  TEST_CASE("bodies that throw inside nested loops: the same") {
    const Threads restore;
    for (const int threads : {1, 2, 7}) {
      CAPTURE(threads);
      set_num_threads(threads);
      for (int repeat = 0; repeat < 10; ++repeat) {
        int caught = 0;
        try {
          parallel_for(40, 1, [](Rows outer) {
            parallel_for(40, 1, [&](Rows inner) {
              if ((inner.begin + outer.begin) % 3 == 0) throw Counted();
            });
          });
        } catch (const Counted&) {
          ++caught;
        }
        CHECK(caught == 1);
        CHECK(Counted::alive == 0);
      }
      std::atomic<std::int64_t> cells{0};
      parallel_for(20, 1, [&](Rows) { parallel_for(30, 1, [&](Rows rows) { cells += rows.size(); }); });
      CHECK(cells == 600);
    }
  }

  TEST_CASE("an exception in one thread's loop leaves the loops of other threads alone") {
    const Threads restore;
    set_num_threads(2);
    std::atomic<int> caught{0}, wrong{0};
    std::vector<std::thread> users;
    for (int u = 0; u < 8; ++u)
      users.emplace_back([&, u] {
        for (int i = 0; i < 30; ++i) {
          std::atomic<std::int64_t> sum{0};
          try {
            parallel_for(200, 5, [&](Rows rows) {
              if (u % 2 == 0 && rows.begin == 100) throw Counted();
              sum += rows.size();
            });
            if (sum != 200 || u % 2 == 0) ++wrong;
          } catch (const Counted&) {
            ++(u % 2 == 0 ? caught : wrong);
          }
        }
      });
    for (std::thread& user : users) user.join();
    CHECK(caught == 4 * 30);
    CHECK(wrong == 0);
    CHECK(Counted::alive == 0);
  }
}
