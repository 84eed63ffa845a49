#pragma once
// The loops on rows of blocks, as the level's vectors. Included by block_level.cpp only.

#include "kernels/block_table.h"
#include "kernels/vec.h"

// A loop whose steps do not depend on one another. Clang looks by itself, and warns of those that stay as they are:
// loops around loops of any width.
#if defined(__clang__)
#define COPPICE_APART
#else
#define COPPICE_APART _Pragma("GCC ivdep")
#endif

namespace coppice::sparsity::kernels::COPPICE_LEVEL {

using i64 = std::int64_t;
using u8 = std::uint8_t;

template <i64 kValue>
struct Constant {
  static constexpr i64 value = kValue;
};

/// Calls f with the width as a constant where it is a usual one, so that loops over a block unroll, else with 0.
template <class F>
COPPICE_INLINE void with_width(i64 width, F f) {
  switch (width) {
    case 1: return f(Constant<1>());
    case 2: return f(Constant<2>());
    case 4: return f(Constant<4>());
    case 8: return f(Constant<8>());
    case 16: return f(Constant<16>());
    default: return f(Constant<0>());
  }
}

/// Calls f with the function from an entry to its importance.
template <class F>
COPPICE_INLINE void with_norm(Norm norm, F f) {
  switch (norm) {
    case Norm::value: return f([](float v) { return v; });
    case Norm::magnitude: return f([](float v) { return __builtin_fabsf(v); });
    case Norm::square: return f([](float v) { return v * v; });
  }
}

/// Fetches what will be read after the next `n` entries. Rows are read in pieces with work between them, which the
/// processor's own prefetching does not bridge.
COPPICE_INLINE void fetch_ahead(const float* x, i64 n) {
  constexpr i64 line = 16, ahead = 1024;
  for (i64 i = 0; i < n; i += line) __builtin_prefetch(x + ahead + i, 0, 2);
}

/// Calls f(first, end) for 0 .. n in steps that fetch_ahead() goes along with.
template <class F>
COPPICE_INLINE void in_steps(const float* x, i64 n, i64 step, F f) {
  for (i64 i = 0; i < n; i += step) {
    const i64 end = i + step < n ? i + step : n;
    fetch_ahead(x + i, end - i);
    f(i, end);
  }
}

inline constexpr i64 kStep = 64;

template <class Real, class Of>
COPPICE_INLINE void add_row_of(const Real* row, i64 n, i64 width, Real* sums, Of of) {
  with_width(width, [=](auto usual) {
    const i64 w = decltype(usual)::value != 0 ? decltype(usual)::value : width, whole = n / w;
    const auto add = [=](i64 begin, i64 end) {
      COPPICE_APART
      for (i64 b = begin; b < end; ++b) {
        Real sum = sums[b];
        for (i64 i = 0; i < w; ++i) sum += of(row[b * w + i]);
        sums[b] = sum;
      }
    };
    if constexpr (sizeof(Real) == 4 && decltype(usual)::value != 0)
      in_steps(row, whole * w, kStep, [=](i64 begin, i64 end) { add(begin / w, end / w); });
    else
      add(0, whole);
    for (i64 i = whole * w; i < n; ++i) sums[whole] += of(row[i]);
  });
}

template <class Real>
void add_row(const Real* row, i64 n, i64 width, Real* sums) {
  add_row_of(row, n, width, sums, [](Real v) { return v; });
}

inline void add_importance(const float* x, i64 n, Norm norm, i64 width, float* sums) {
  with_norm(norm, [=](auto of) { add_row_of(x, n, width, sums, of); });
}

inline void spread_row(const u8* keep, i64 width, u8* out, i64 n) {
  with_width(width, [=](auto usual) {
    const i64 w = decltype(usual)::value != 0 ? decltype(usual)::value : width, whole = n / w;
    COPPICE_APART
    for (i64 b = 0; b < whole; ++b)
      for (i64 i = 0; i < w; ++i) out[b * w + i] = keep[b];
    for (i64 i = whole * w; i < n; ++i) out[i] = keep[whole];
  });
}

inline void importance(const float* x, const u8* mask, i64 n, Norm norm, float* out) {
  with_norm(norm, [=](auto of) {
    in_steps(x, n, kStep, [=](i64 begin, i64 end) {
      if (mask == nullptr) {
        COPPICE_APART
        for (i64 i = begin; i < end; ++i) out[i] = of(x[i]);
      } else {
        COPPICE_APART
        for (i64 i = begin; i < end; ++i) out[i] = of(x[i] * static_cast<float>(mask[i]));
      }
    });
  });
}

template <class Real>
struct RankKey;
template <>
struct RankKey<float> {
  using type = std::int32_t;
};
template <>
struct RankKey<double> {
  using type = std::int64_t;
};

/// An integer that compares as the score ranks: -0 as +0, NaN above all.
template <class Real, class Key = typename RankKey<Real>::type>
COPPICE_INLINE Key rank_key(Real score) {
  constexpr Key size = static_cast<Key>(~(Key{1} << (8 * sizeof(Key) - 1)));
  const Key bits = __builtin_bit_cast(Key, score + Real{0});  // + 0: of -0 there is no more
  const Key key = bits ^ ((bits >> (8 * sizeof(Key) - 1)) & size);
  return score == score ? key : size;
}

/// By counting for each cell those that rank before it: no branches, and no order to be made.
template <class Real>
void flag_lowest(const Real* cells, i64 blocks, i64 height, i64 width, i64 count, const u8* keep, u8* flags) {
  using Key = typename RankKey<Real>::type;
  alignas(64) Key keys[kMostRanked][kLanes];
  alignas(64) u8 kept[kMostRanked][kLanes];
  const i64 area = height * width;
  for (i64 e = 0; e < area; ++e)
    for (i64 i = blocks; i < kLanes; ++i) keys[e][i] = 0;
  with_width(width, [&](auto usual) {
    const i64 w = decltype(usual)::value != 0 ? decltype(usual)::value : width;
    for (i64 r = 0; r < height; ++r) {
      const Real* const row = cells + r * blocks * w;
      Key(*const to)[kLanes] = keys + r * w;
      if constexpr (decltype(usual)::value != 0) {
        COPPICE_APART
        for (i64 i = 0; i < blocks; ++i)
          for (i64 c = 0; c < w; ++c) to[c][i] = rank_key(row[i * w + c]);
      } else {
        for (i64 c = 0; c < w; ++c)
          for (i64 i = 0; i < blocks; ++i) to[c][i] = rank_key(row[i * w + c]);
      }
    }
  });
  const auto wanted = static_cast<Key>(count);
  for (i64 e = 0; e < area; ++e) {
    alignas(64) Key rank[kLanes] = {};
    for (i64 f = 0; f < e; ++f) {
      COPPICE_APART
      for (i64 i = 0; i < kLanes; ++i) rank[i] += keys[f][i] <= keys[e][i];
    }
    for (i64 f = e + 1; f < area; ++f) {
      COPPICE_APART
      for (i64 i = 0; i < kLanes; ++i) rank[i] += keys[f][i] < keys[e][i];
    }
    COPPICE_APART
    for (i64 i = 0; i < kLanes; ++i) kept[e][i] = rank[i] >= wanted;
  }
  with_width(width, [&](auto usual) {
    const i64 w = decltype(usual)::value != 0 ? decltype(usual)::value : width;
    for (i64 r = 0; r < height; ++r) {
      u8* const row = flags + r * blocks * w;
      const u8(*const from)[kLanes] = kept + r * w;
      COPPICE_APART
      for (i64 i = 0; i < blocks; ++i)
        for (i64 c = 0; c < w; ++c) row[i * w + c] = from[c][i] | keep[i];
    }
  });
}

}  // namespace coppice::sparsity::kernels::COPPICE_LEVEL
