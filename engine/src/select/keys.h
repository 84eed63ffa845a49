#pragma once
/// Scores as unsigned keys whose order is the rank order: 32 bits where that is exact, else 64.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>

#include "coppice/engine/error.h"
#include "coppice/engine/parallel.h"
#include "kernels/levels.h"
#include "select/select.h"

namespace coppice::selection {

enum class KeyKind : std::uint8_t {
  float32,  ///< f32, f16, bf16, and the integers that a float holds exactly
  float64,
  integer,
};

[[nodiscard]] inline KeyKind kind_of(std::span<const Scores> scores) {
  bool wide_float = false, floating = false, wide_integer = false;
  for (const Scores& s : scores) {
    floating = floating || is_floating(s.dtype);
    wide_float = wide_float || s.dtype == Dtype::f64;
    wide_integer = wide_integer || s.dtype == Dtype::i32 || s.dtype == Dtype::i64;
  }
  if (wide_float || (wide_integer && floating)) return KeyKind::float64;
  return wide_integer ? KeyKind::integer : KeyKind::float32;
}

/// Bits of a key that can differ: magnitudes have no sign.
template <class Key>
[[nodiscard]] constexpr int key_bits(Ranking r) {
  return std::numeric_limits<Key>::digits - (r.magnitude ? 1 : 0);
}

/// Key of elements that take no part: above all others.
template <class Key>
[[nodiscard]] constexpr Key no_key(Ranking r) {
  return std::numeric_limits<Key>::max() >> (r.magnitude ? 1 : 0);
}

template <class Key, class Float>
[[nodiscard]] inline Key float_key(Float value, bool magnitude) {
  constexpr Key sign = Key{1} << (std::numeric_limits<Key>::digits - 1);
  constexpr Key nan = std::bit_cast<Key>(std::numeric_limits<Float>::infinity()) + 1;
  const Key bits = std::bit_cast<Key>(value);
  Key size = bits & ~sign;
  size = static_cast<std::make_signed_t<Key>>(size) < static_cast<std::make_signed_t<Key>>(nan) ? size : nan;
  if (magnitude) return size;
  // Negative numbers count downwards from the middle, so that -0 meets +0; a NaN of either sign is above all.
  return (bits & sign) != 0 && size != nan ? sign - size : sign + size;
}

template <class Key, class T>
[[nodiscard]] inline Key key_of(T value, bool magnitude, KeyKind kind) {
  if constexpr (sizeof(Key) == 4)
    return float_key<Key>(convert<float>(value), magnitude);
  else {
    if (kind == KeyKind::float64) return float_key<Key>(convert<double>(value), magnitude);
    const auto x = convert<std::int64_t>(value);
    constexpr Key sign = Key{1} << 63;
    // |INT64_MIN| would not leave room for "takes no part": it ranks with the largest integer.
    if (magnitude) {
      const Key size = x < 0 ? Key{0} - static_cast<Key>(x) : static_cast<Key>(x);
      return size < sign - 1 ? size : sign - 2;
    }
    const Key shifted = static_cast<Key>(x) ^ sign;
    return shifted < ~Key{0} ? shifted : ~Key{0} - 1;
  }
}

/// `none` for what has no bit of `number` in its mask, which consists of Words. By bits and without a branch, since
/// which entries take part is as good as random; nothing overlaps, which the compiler must know to use vectors.
template <class Word, class Key>
void exclude(const std::byte* __restrict mask, std::int64_t n, Word number, Key none, Key* __restrict keys) {
  for (std::int64_t i = 0; i < n; ++i) {
    Word bits;
    std::memcpy(&bits, mask + i * static_cast<std::int64_t>(sizeof bits), sizeof bits);
    keys[i] |= (bits & number) == 0 ? none : Key{0};
  }
}

inline constexpr std::int64_t kKeyBlock = 1024;  // keys that are made at a time, in the first-level cache

/// Keys of elements begin .. begin + n of one span; of a stream kKeyBlock at most.
template <class Key>
void load_keys(const Scores& s, std::int64_t begin, std::int64_t n, Ranking ranking, KeyKind kind, Key* keys) {
  const Key none = no_key<Key>(ranking);
  if (s.stream != nullptr) {
    std::array<float, kKeyBlock> buffer;
    if constexpr (sizeof(Key) == 4)
      kernels::in_use().select.keys_f32(s.stream->read(begin, n, buffer.data()), keys, n, ranking.magnitude);
    return;
  }
  dispatch(s.dtype, [&]<class T>() {
    const T* data = static_cast<const T*>(s.data) + begin;
    if constexpr (std::is_same_v<T, float> && sizeof(Key) == 4)
      return kernels::in_use().select.keys_f32(data, keys, n, ranking.magnitude);
    if (ranking.magnitude)
      for (std::int64_t i = 0; i < n; ++i) keys[i] = key_of<Key>(data[i], true, kind);
    else
      for (std::int64_t i = 0; i < n; ++i) keys[i] = key_of<Key>(data[i], false, kind);
  });
  if (ranking.largest)
    for (std::int64_t i = 0; i < n; ++i) keys[i] = none - 1 - keys[i];
  if (s.eligible)
    dispatch(s.eligible_dtype, [&]<class M>() {
      using Word =
          std::conditional_t<sizeof(M) == 1, std::uint8_t,
                             std::conditional_t<sizeof(M) == 2, std::uint16_t,
                                                std::conditional_t<sizeof(M) == 4, std::uint32_t, std::uint64_t>>>;
      constexpr bool has_minus_zero =
          std::is_floating_point_v<M> || std::is_same_v<M, Half> || std::is_same_v<M, BFloat16>;
      constexpr auto number = static_cast<Word>(static_cast<Word>(~Word{}) >> (has_minus_zero ? 1 : 0));
      exclude(reinterpret_cast<const std::byte*>(static_cast<const M*>(s.eligible) + begin), n, number, none, keys);
    });
}

inline constexpr std::int64_t kMinRange = 1 << 18;  // of one task: 100 µs
inline constexpr std::int64_t kMaxRanges = 64;      // bounds the memory for histograms

/// The spans as one sequence, cut into ranges of equal length.
struct Sequence {
  std::span<const Scores> scores;
  std::vector<std::int64_t> starts;  // of each span, and the end
  Ranking ranking;
  KeyKind kind;
  std::int64_t total = 0;
  std::int64_t range = kMinRange;

  Sequence(std::span<const Scores> s, Ranking r) : scores(s), ranking(r), kind(kind_of(s)) {
    for (const Scores& one : s) {
      starts.push_back(total);
      total += one.size;
    }
    starts.push_back(total);
    const auto whole = [](std::int64_t n) { return (n + kKeyBlock) / kKeyBlock * kKeyBlock; };
    range = std::max(stream() ? whole(kMinRange / cost()) : kMinRange, whole(total / kMaxRanges));
  }
  /// The scores are those of a stream.
  [[nodiscard]] const ScoreStream* stream() const { return scores.size() == 1 ? scores[0].stream : nullptr; }
  [[nodiscard]] std::int64_t cost() const { return stream() ? std::max<std::int64_t>(1, stream()->cost()) : 1; }
  [[nodiscard]] std::int64_t ranges() const { return (total + range - 1) / range; }

  /// Span of the element at position `at` of the sequence.
  [[nodiscard]] std::size_t span_of(std::int64_t at) const {
    return static_cast<std::size_t>(std::upper_bound(starts.begin(), starts.end(), at) - starts.begin()) - 1;
  }

  void prefetch(std::int64_t at) const {
    const std::size_t span = span_of(at);
    const auto bytes = static_cast<std::int64_t>(itemsize(scores[span].dtype));
    __builtin_prefetch(static_cast<const char*>(scores[span].data) + (at - starts[span]) * bytes);
  }

  template <class Key>
  [[nodiscard]] Key key(std::int64_t at) const {
    const std::size_t span = span_of(at);
    Key out;
    load_keys<Key>(scores[span], at - starts[span], 1, ranking, kind, &out);
    return out;
  }

  /// Scores whose magnitudes are keys as they lie in memory, without their signs: the usual case.
  [[nodiscard]] bool plain(const Scores& s) const {
    return s.dtype == Dtype::f32 && s.eligible == nullptr && ranking.magnitude && !ranking.largest;
  }

  /// Calls f(keys, count, span, first element) for the blocks of range `index`, in order.
  template <class Key, class F>
  void blocks(std::int64_t index, F f) const {
    each_block(index, [&](const Scores& s, std::int64_t n, std::size_t span, std::int64_t first) {
      alignas(64) Key keys[kKeyBlock];
      load_keys<Key>(s, first, n, ranking, kind, keys);
      f(static_cast<const Key*>(keys), n, span, first);
    });
  }

  /// The same, but calls g(floats, …) where scores are plain() and `allowed(span)`: no keys are stored then.
  template <class Key, class Allowed, class F, class G>
  void blocks(std::int64_t index, Allowed allowed, F f, G g) const {
    each_block(index, [&](const Scores& s, std::int64_t n, std::size_t span, std::int64_t first) {
      if constexpr (sizeof(Key) == 4)
        if (plain(s) && allowed(span)) {
          std::array<float, kKeyBlock> buffer;
          const float* const x =
              s.stream ? s.stream->read(first, n, buffer.data()) : static_cast<const float*>(s.data) + first;
          return g(x, n, span, first);
        }
      alignas(64) Key keys[kKeyBlock];
      load_keys<Key>(s, first, n, ranking, kind, keys);
      f(static_cast<const Key*>(keys), n, span, first);
    });
  }

 private:
  template <class F>
  void each_block(std::int64_t index, F f) const {
    std::int64_t at = index * range;
    const std::int64_t end = std::min(at + range, total);
    std::size_t span = span_of(at);
    while (at < end) {
      while (starts[span + 1] <= at) ++span;
      const std::int64_t n = std::min({kKeyBlock, end - at, starts[span + 1] - at});
      f(scores[span], n, span, at - starts[span]);
      at += n;
    }
  }
};

template <class Key>
std::int64_t count_equal(const Key* keys, std::int64_t n, Key key) {
  if constexpr (sizeof(Key) == 4)
    return kernels::in_use().select.count_equal(keys, n, key);
  else
    return std::count(keys, keys + n, key);
}

/// How many are equal to the cut before each range.
template <class Key>
std::vector<std::int64_t> count_before(const Sequence& seq, Key key) {
  std::vector<std::int64_t> before(static_cast<std::size_t>(seq.ranges()) + 1);
  parallel_for(seq.ranges(), 1, [&](Rows rows) {
    for (auto r = rows.begin; r < rows.end; ++r) {
      std::int64_t equal = 0;
      seq.blocks<Key>(
          r, [&](const Key* keys, std::int64_t n, std::size_t, std::int64_t) { equal += count_equal(keys, n, key); });
      before[static_cast<std::size_t>(r) + 1] = equal;
    }
  });
  for (std::size_t r = 1; r < before.size(); ++r) before[r] += before[r - 1];
  return before;
}

/// @throws ValueError  unless k is in 0..eligible
inline void check_count(std::int64_t k, std::int64_t eligible) {
  if (k < 0 || k > eligible)
    throw ValueError(cat("[select] the count must be in 0..", eligible, " (elements that take part); got ", k));
}

}  // namespace coppice::selection
