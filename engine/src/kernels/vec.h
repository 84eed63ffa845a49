#pragma once
/// Vectors of the level that a file is compiled for. Included by the level.cpp files and their loops only, which are
/// compiled once per level: everything there stands in a namespace of the level or without a name, and no function of
/// the standard library is instantiated, so that the linker cannot take code for a newer processor into the rest of the
/// program. Of Highway the sparse loops use functions that are always inlined.

#include <cstdint>

#if defined(__AVX512F__)
#define COPPICE_VECTOR_BYTES 64
#elif defined(__AVX__)
#define COPPICE_VECTOR_BYTES 32
#else
#define COPPICE_VECTOR_BYTES 16
#endif

#define COPPICE_INLINE inline __attribute__((always_inline))
// One copy per template, also where the compiler would make special ones: size counts in embedded programs.
#if defined(__clang__)
#define COPPICE_NOINLINE __attribute__((noinline))
#else
#define COPPICE_NOINLINE __attribute__((noinline, noclone))
#endif

// A loop whose steps do not depend on one another.
#if defined(__clang__)
#define COPPICE_VECTOR_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define COPPICE_VECTOR_LOOP _Pragma("GCC ivdep")
#endif

namespace coppice::kernels::COPPICE_LEVEL {

using i64 = std::int64_t;

template <class T>
struct VecOf;
template <>
struct VecOf<float> {
  typedef float type __attribute__((vector_size(COPPICE_VECTOR_BYTES)));
  typedef float quarter __attribute__((vector_size(16), may_alias));
  typedef float loose __attribute__((vector_size(COPPICE_VECTOR_BYTES), aligned(4), may_alias));
  typedef std::int32_t mask __attribute__((vector_size(COPPICE_VECTOR_BYTES)));
  using index = std::int32_t;
};
template <>
struct VecOf<double> {
  typedef double type __attribute__((vector_size(COPPICE_VECTOR_BYTES)));
  typedef double quarter __attribute__((vector_size(16), may_alias));
  typedef double loose __attribute__((vector_size(COPPICE_VECTOR_BYTES), aligned(8), may_alias));
  typedef std::int64_t mask __attribute__((vector_size(COPPICE_VECTOR_BYTES)));
  using index = std::int64_t;
};

template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
inline constexpr int kLanes = COPPICE_VECTOR_BYTES / static_cast<int>(sizeof(T));
/// Elements of a cache line: the unit in which rows of A are copied.
template <class T>
inline constexpr int kLine = 64 / static_cast<int>(sizeof(T));

/// Tile of a packed product: kTileM rows, kTileV vectors of columns. It fills the register file but for the operands.
#if defined(__AVX512F__)
inline constexpr int kTileM = 12;
inline constexpr int kDotRows = 6;  // rows of A in a tile of dot products, against 4 rows of B
#elif defined(__aarch64__)
inline constexpr int kTileM = 12;
inline constexpr int kDotRows = 4;
#else
inline constexpr int kTileM = 6;
inline constexpr int kDotRows = 3;
#endif
inline constexpr int kTileV = 2;
template <class T>
inline constexpr int kTileN = kTileV* kLanes<T>;

constexpr i64 smaller(i64 a, i64 b) { return a < b ? a : b; }

template <class T>
COPPICE_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VecOf<T>::loose*>(p);
}
template <class T>
COPPICE_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VecOf<T>::loose*>(p) = v;
}
template <class T>
COPPICE_INLINE Vec<T> splat(T s) {
  return s - Vec<T>{};  // s - 0 is s, also for -0
}

/// Sums of the lanes of N vectors, always in the same order.
template <class T, int N>
COPPICE_INLINE void sums(const Vec<T>* vectors, T* out) {
  constexpr int w = kLanes<T>;
  alignas(64) T lane[N * w];
#pragma GCC unroll 32
  for (int i = 0; i < N; ++i) store(lane + i * w, vectors[i]);
#pragma GCC unroll 1
  for (int i = 0; i < N; ++i) {
    const T* x = lane + i * w;
    typename VecOf<T>::quarter v = *reinterpret_cast<const typename VecOf<T>::quarter*>(x);
#pragma GCC unroll 4
    for (int q = 16 / static_cast<int>(sizeof(T)); q < w; q += 16 / static_cast<int>(sizeof(T)))
      v += *reinterpret_cast<const typename VecOf<T>::quarter*>(x + q);
    if constexpr (sizeof(T) == 4)
      out[i] = (v[0] + v[2]) + (v[1] + v[3]);
    else
      out[i] = v[0] + v[1];
  }
}

/// The last kLanes elements of a row of length k, with those set to 0 that earlier vectors covered.
template <class T>
COPPICE_INLINE Vec<T> load_tail(const T* row, i64 k) {
  using Mask = typename VecOf<T>::mask;
  Mask lane;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = i;
  const Mask fresh = lane >= static_cast<typename VecOf<T>::index>(kLanes<T> - k % kLanes<T>);
  const Vec<T> v = load(row + k - kLanes<T>);
  Mask bits;
  __builtin_memcpy(&bits, &v, sizeof v);
  bits &= fresh;
  Vec<T> out;
  __builtin_memcpy(&out, &bits, sizeof v);
  return out;
}

/// Transposes kLanes rows in registers: interleaving row i with row i + kLanes / 2, log2(kLanes) times.
template <class T>
COPPICE_INLINE void transpose(Vec<T> (&rows)[kLanes<T>]) {
  constexpr int n = kLanes<T>;
  using Mask = typename VecOf<T>::mask;
  Mask low, high;
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    low[i] = i / 2 + (i % 2) * n;
    high[i] = low[i] + n / 2;
  }
#pragma GCC unroll 4
  for (int round = 1; round < n; round *= 2) {
    Vec<T> next[n];
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i) {
#if defined(__clang__)
      for (int j = 0; j < n; ++j) {
        next[2 * i][j] = j % 2 ? rows[i + n / 2][j / 2] : rows[i][j / 2];
        next[2 * i + 1][j] = j % 2 ? rows[i + n / 2][j / 2 + n / 2] : rows[i][j / 2 + n / 2];
      }
#else
      next[2 * i] = __builtin_shuffle(rows[i], rows[i + n / 2], low);
      next[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + n / 2], high);
#endif
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) rows[i] = next[i];
  }
}

}  // namespace coppice::kernels::COPPICE_LEVEL
