#include "io/crc32.h"

#include <zlib.h>

#include <algorithm>
#include <vector>

#include "coppice/engine/parallel.h"

namespace coppice {
namespace {

std::uint32_t crc32_serial(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace

std::uint32_t crc32_of(std::span<const std::byte> bytes) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;  // 150 µs at zlib's 7 GB/s
  if (bytes.size() <= kPiece) return bytes.empty() ? 0 : crc32_serial(bytes);
  const std::size_t pieces = (bytes.size() + kPiece - 1) / kPiece;
  std::vector<std::uint32_t> crcs(pieces);
  const auto piece = [&](std::size_t i) {
    return bytes.subspan(i * kPiece, std::min(kPiece, bytes.size() - i * kPiece));
  };
  parallel_for(static_cast<std::int64_t>(pieces), 1, [&](Rows rows) {
    for (auto i = static_cast<std::size_t>(rows.begin); i < static_cast<std::size_t>(rows.end); ++i)
      crcs[i] = crc32_serial(piece(i));
  });
  std::uint32_t crc = crcs[0];
  for (std::size_t i = 1; i < pieces; ++i)
    crc = static_cast<std::uint32_t>(::crc32_combine(crc, crcs[i], static_cast<z_off_t>(piece(i).size())));
  return crc;
}

}  // namespace coppice
