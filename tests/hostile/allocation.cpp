/// Replaces operator new and posix_memalign(), which Storage takes its blocks from, so that the n-th allocation fails.
#include "hostile/allocation.h"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace {

std::atomic<std::int64_t> live{0};       // blocks of operator new and posix_memalign
std::atomic<std::int64_t> countdown{0};  // the allocation that brings it to 0 fails; below: none

bool refuses() { return countdown.load() > 0 && countdown.fetch_sub(1) == 1; }

void* taken(std::size_t bytes, std::size_t alignment) {
  if (refuses()) return nullptr;
  void* block = alignment <= alignof(std::max_align_t)
                    ? std::malloc(bytes == 0 ? 1 : bytes)
                    : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (block != nullptr) ++live;
  return block;
}

void* taken_or_thrown(std::size_t bytes, std::size_t alignment) {
  if (void* block = taken(bytes, alignment)) return block;
  throw std::bad_alloc();
}

void given(void* block) {
  if (block != nullptr) --live;
  std::free(block);
}

std::atomic<std::int64_t> from_system{0};

}  // namespace

void* operator new(std::size_t bytes) { return taken_or_thrown(bytes, 1); }
void* operator new[](std::size_t bytes) { return taken_or_thrown(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t a) {
  return taken_or_thrown(bytes, static_cast<std::size_t>(a));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return taken(bytes, 1); }
void operator delete(void* block) noexcept { given(block); }
void operator delete[](void* block) noexcept { given(block); }
void operator delete(void* block, std::size_t) noexcept { given(block); }
void operator delete[](void* block, std::size_t) noexcept { given(block); }
void operator delete(void* block, std::align_val_t) noexcept { given(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { given(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { given(block); }

/// Storage gives its blocks back with free(), which is not counted: leaks of these are for the sanitizer to see.
extern "C" int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) noexcept {
  *block = refuses() ? nullptr : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (*block == nullptr) return ENOMEM;
  ++from_system;
  return 0;
}

namespace coppice::test {

std::int64_t live_blocks() { return live; }
std::int64_t storage_blocks() { return from_system; }
void fail_at(std::int64_t n) { countdown = n; }
bool failed() { return countdown <= 0; }

}  // namespace coppice::test
