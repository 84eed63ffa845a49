#pragma once
/// Transposition of bytes in blocks of 16 x 16. Included by level.cpp only.

#include "kernels/int8/lanes.h"

namespace coppice::kernels::COPPICE_LEVEL {

#if defined(COPPICE_X86)
/// Interleaving row i with row i + 8, four times.
COPPICE_INLINE void transpose_block(const u8* in, i64 is, u8* out, i64 os) {
  __m128i rows[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) rows[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i * is));
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
    __m128i next[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      next[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
      next[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) rows[i] = next[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i * os), rows[i]);
}
#else
COPPICE_INLINE void transpose_block(const u8* in, i64 is, u8* out, i64 os) {
  for (int c = 0; c < 16; ++c)
    for (int r = 0; r < 16; ++r) out[c * os + r] = in[r * is + c];
}
#endif

inline void transpose_bytes(const u8* in, i64 rows, i64 cols, i64 is, u8* out, i64 os) {
  const i64 down = rows - rows % 16, across = cols - cols % 16;
  for (i64 r = 0; r < down; r += 16)
    for (i64 c = 0; c < across; c += 16) transpose_block(in + r * is + c, is, out + c * os + r, os);
  for (i64 c = across; c < cols; ++c)
    for (i64 r = 0; r < down; ++r) out[c * os + r] = in[r * is + c];
  for (i64 r = down; r < rows; ++r)
    for (i64 c = 0; c < cols; ++c) out[c * os + r] = in[r * is + c];
}

}  // namespace coppice::kernels::COPPICE_LEVEL
