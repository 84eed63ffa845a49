#include "coppice/sparsity/prune/masked_bits.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <vector>

#include "coppice/engine/error.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/parallel.h"

namespace coppice::sparsity::prune {
namespace {

constexpr std::uint64_t kAlign = 64;        // bytes: whole bytes of bits
constexpr std::int64_t kPerTask = 1 << 18;  // entries
constexpr std::int64_t kPerLoop = 2048;     // entries, in the first-level cache

/// What products are computed in, as in nn::apply_mask().
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// The eight factors that a byte of bits stands for.
template <class Real>
const std::array<std::array<Real, 8>, 256>& factors() {
  static const auto table = [] {
    std::array<std::array<Real, 8>, 256> out;
    for (std::size_t byte = 0; byte < 256; ++byte)
      for (std::size_t i = 0; i < 8; ++i) out[byte][i] = static_cast<Real>(byte >> i & 1);
    return out;
  }();
  return table;
}

/// y = x times mask; the two do not overlap. @param bits  of the first of them on
template <class T, class Out>
void multiply(const T* __restrict x, const std::uint8_t* __restrict bits, std::int64_t n, Out* __restrict y) {
  using A = Wide<T>;
  const auto& table = factors<A>();
  const std::int64_t whole = n / 8 * 8;
  for (std::int64_t i = 0; i < whole; i += 8) {
    const A* __restrict q = table[bits[i / 8]].data();
    for (std::int64_t j = 0; j < 8; ++j) y[i + j] = convert<Out>(static_cast<A>(q[j] * convert<A>(x[i + j])));
  }
  for (std::int64_t i = whole; i < n; ++i)
    y[i] = convert<Out>(static_cast<A>(table[bits[i / 8]][static_cast<std::size_t>(i % 8)] * convert<A>(x[i])));
}

/// How many bits are set. Words of them: without an instruction for it, a call for each byte would take its time.
std::int64_t count_bits(const std::uint8_t* bits, std::int64_t bytes) {
  std::int64_t out = 0, at = 0;
  for (; at + 8 <= bytes; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bits + at, sizeof word);
    out += std::popcount(word);
  }
  for (; at < bytes; ++at) out += std::popcount(bits[at]);
  return out;
}

void check(const Tensor& values, const Tensor& bits) {
  if (!is_floating(values.dtype())) throw DtypeError(cat("[masked_bits] needs a floating type; got ", values.dtype()));
  if (bits.dtype() != Dtype::u8 || bits.shape() != Shape{(values.numel() + 7) / 8})
    throw ShapeError(cat("[masked_bits] a tensor of shape ", values.shape(), " needs uint8 ",
                         Shape{(values.numel() + 7) / 8}, "; got ", bits.dtype(), " ", bits.shape()));
}

/// Calls f with the floating type of that name.
template <class F>
void with_floating(Dtype dtype, F f) {
  dispatch(dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, Half> ||
                  std::is_same_v<T, BFloat16>)
      f.template operator()<T>();
  });
}

/// Number of the first entry. @throws ValueError
std::int64_t first_entry(Dtype dtype, std::uint64_t all, std::uint64_t at, std::uint64_t count) {
  if (at % kAlign != 0 || at > all || count > all - at || count % itemsize(dtype) != 0)
    throw ValueError(cat("[masked_bits] ", count, " bytes at ", at, " of ", all));
  return static_cast<std::int64_t>(at / itemsize(dtype));
}

}  // namespace

MaskedCounts count_masked(const Tensor& values, const Tensor& bits) {
  check(values, bits);
  const std::int64_t n = values.numel();
  std::atomic<std::int64_t> zeros = 0, kept = 0;
  std::atomic<bool> nan = false;
  with_floating(values.dtype(), [&]<class T>() {
    using A = Wide<T>;
    const T* const x = values.data<T>().data();
    const std::uint8_t* const mask = bits.data<std::uint8_t>().data();
    parallel_for(n, kPerTask, [&](Rows rows) {
      std::array<A, kPerLoop> product;
      std::int64_t zero = 0, ones = 0;
      bool bad = false;
      for (std::int64_t i = rows.begin; i < rows.end; i += kPerLoop) {
        const std::int64_t count = std::min(kPerLoop, rows.end - i);
        multiply(x + i, mask + i / 8, count, product.data());
        std::int32_t zero_here = 0, nan_here = 0;
        for (std::int64_t j = 0; j < count; ++j) zero_here += product[static_cast<std::size_t>(j)] == 0 ? 1 : 0;
        for (std::int64_t j = 0; j < count; ++j)  // NaN times 0 is one
          nan_here |= product[static_cast<std::size_t>(j)] != product[static_cast<std::size_t>(j)] ? 1 : 0;
        zero += zero_here;
        if (nan_here != 0)  // and so is infinity times 0
          bad = bad || std::any_of(x + i, x + i + count, [](T v) { return convert<A>(v) != convert<A>(v); });
        ones += count_bits(mask + i / 8, (count + 7) / 8);
      }
      zeros += zero, kept += ones;
      if (bad) nan = true;
      forget_pages(
          {reinterpret_cast<const std::byte*>(x + rows.begin), static_cast<std::size_t>(rows.size()) * sizeof(T)});
    });
  });
  return {zeros, n - kept, nan};
}

void write_masked(const Tensor& values, const Tensor& bits, std::uint64_t at, std::span<std::byte> to) {
  check(values, bits);
  const std::int64_t first = first_entry(values.dtype(), values.nbytes(), at, to.size());
  with_floating(values.dtype(), [&]<class T>() {
    multiply(values.data<T>().data() + first, bits.data<std::uint8_t>().data() + first / 8,
             static_cast<std::int64_t>(to.size() / sizeof(T)), reinterpret_cast<T*>(to.data()));
  });
  forget_pages({values.bytes() + at, to.size()});
}

void write_mask(const Tensor& bits, Dtype dtype, std::uint64_t at, std::span<std::byte> to) {
  const std::int64_t first = first_entry(dtype, 8 * bits.nbytes() * itemsize(dtype), at, to.size());
  dispatch(dtype, [&]<class T>() {
    const T table[2] = {convert<T>(0.0), convert<T>(1.0)};
    const std::uint8_t* const from = bits.data<std::uint8_t>().data() + first / 8;
    T* const out = reinterpret_cast<T*>(to.data());
    const auto n = static_cast<std::int64_t>(to.size() / sizeof(T));
    for (std::int64_t i = 0; i < n; ++i) out[i] = table[from[i / 8] >> (i % 8) & 1];
  });
}

}  // namespace coppice::sparsity::prune
