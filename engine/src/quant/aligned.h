#pragma once
/// Memory that starts on a cache line.

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace coppice::quant {

struct Free {
  void operator()(void* p) const { std::free(p); }
};

/// `count` elements that nothing was written to yet.
template <class T>
using Aligned = std::unique_ptr<T[], Free>;

template <class T>
[[nodiscard]] Aligned<T> aligned(std::size_t count) {
  void* const p = std::aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64 + 64);  // never of size 0
  if (p == nullptr) throw std::bad_alloc();
  return Aligned<T>(static_cast<T*>(p));
}

}  // namespace coppice::quant
