#include "io/file/crc32.h"

#include <libdeflate.h>

#include <algorithm>
#include <vector>

#include "coppice/engine/parallel.h"

namespace coppice {
namespace {

constexpr std::uint32_t kPolynomial = 0xEDB88320;  // x^32 is the bit that would come next; x^0 is the highest bit here

/// a times b modulo the polynomial of the checksum.
std::uint32_t product(std::uint32_t a, std::uint32_t b) {
  std::uint32_t out = 0;
  for (std::uint32_t bit = std::uint32_t{1} << 31; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) out ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kPolynomial : 0);
  }
  return out;
}

/// x^(8 · bytes): a checksum times this is what that many bytes behind it leave of it.
std::uint32_t shift_by(std::uint64_t bytes) {
  std::uint32_t out = std::uint32_t{1} << 31, square = std::uint32_t{1} << 23;
  for (; bytes != 0; bytes >>= 1, square = product(square, square))
    if ((bytes & 1) != 0) out = product(out, square);
  return out;
}

}  // namespace

std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;  // bench/load_bench: 40 µs or more
  if (bytes.empty()) return before;                     // libdeflate takes a null pointer for a wish to begin
  if (bytes.size() <= kPiece) return ::libdeflate_crc32(before, bytes.data(), bytes.size());
  const std::size_t pieces = (bytes.size() + kPiece - 1) / kPiece;
  std::vector<std::uint32_t> crcs(pieces);
  parallel_for(static_cast<std::int64_t>(pieces), 1, [&](Rows rows) {
    for (auto i = static_cast<std::size_t>(rows.begin); i < static_cast<std::size_t>(rows.end); ++i) {
      const auto piece = bytes.subspan(i * kPiece, std::min(kPiece, bytes.size() - i * kPiece));
      crcs[i] = ::libdeflate_crc32(0, piece.data(), piece.size());
    }
  });
  return crc32_joined(crcs, kPiece, bytes.size() - (pieces - 1) * kPiece, before);
}

std::uint32_t crc32_joined(std::span<const std::uint32_t> crcs, std::uint64_t piece, std::uint64_t last,
                           std::uint32_t before) {
  const std::uint32_t by_piece = shift_by(piece), by_last = shift_by(last);
  std::uint32_t crc = before;
  for (std::size_t i = 0; i < crcs.size(); ++i) crc = product(i + 1 < crcs.size() ? by_piece : by_last, crc) ^ crcs[i];
  return crc;
}

}  // namespace coppice
