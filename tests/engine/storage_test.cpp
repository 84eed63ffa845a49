// The bytes behind tensors.
#include "coppice/engine/storage.h"

#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <thread>

#include "coppice/engine.h"

namespace {

using namespace coppice;

TEST_SUITE("engine/storage") {
  TEST_CASE("blocks are aligned to 64 bytes, and readable 64 bytes past their end") {
    for (const std::size_t bytes :
         {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{4096}, std::size_t{1} << 21}) {
      CAPTURE(bytes);
      const auto storage = Storage::allocate(bytes);
      CHECK(storage->bytes() == bytes);
      CHECK(reinterpret_cast<std::uintptr_t>(storage->data()) % 64 == 0);
      std::memset(storage->data(), 1, bytes);
      unsigned char tail[64];  // AddressSanitizer tells if it may not be read
      std::memcpy(tail, storage->data() + bytes, sizeof tail);
    }
  }

  TEST_CASE("memory that cannot be had is a LimitError") {
    CHECK_THROWS_AS((void)Storage::allocate(std::size_t{1} << 60), LimitError);
    CHECK_THROWS_AS((void)Storage::allocate(std::numeric_limits<std::size_t>::max()), LimitError);
  }

  TEST_CASE("adopted bytes are shown in place, and their keeper goes with the last tensor") {
    auto keeper = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
    const std::weak_ptr<std::vector<float>> watch = keeper;
    auto* bytes = reinterpret_cast<std::byte*>(keeper->data());
    Tensor t = Tensor::over(Storage::adopt(bytes, 12, std::move(keeper)), 4, Shape{2}, Dtype::f32);
    CHECK(t == Tensor::of({2, 3}));
    t.fill_(7);
    CHECK((*watch.lock())[2] == 7);
    t = Tensor();
    CHECK(watch.expired());
  }

  TEST_CASE("every writing method counts one version up, reading none") {
    Tensor t = Tensor::of({1, 2});
    const auto version = t.version();
    (void)t.data<float>();
    (void)t.to_vector<float>();
    CHECK(t.version() == version);
    t.fill_(1);
    const auto filled = t.version();
    CHECK(filled > version);
    t.reshape({2, 1}).mul_(2);  // a view counts in the storage that it shares
    CHECK(t.version() > filled);
  }

  TEST_CASE("a block may be freed by another thread than the one that took it") {
    for (int i = 0; i < 100; ++i) {
      auto storage = Storage::allocate(1000 + static_cast<std::size_t>(i) * 100);
      std::thread([s = std::move(storage)]() mutable { s.reset(); }).join();
    }
  }
}

}  // namespace
