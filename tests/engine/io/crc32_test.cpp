#include "../../../engine/src/io/file/crc32.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "coppice/engine/parallel.h"

using namespace coppice;

namespace {

/// Bit by bit, from the definition in ISO 3309: reflected, begun and ended with all ones.
std::uint32_t by_definition(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const std::byte b : bytes) {
    crc ^= std::to_integer<std::uint32_t>(b);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

std::vector<std::byte> some(std::size_t count) {
  std::vector<std::byte> out(count);
  std::uint32_t state = 7;
  for (std::byte& b : out) b = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  return out;
}

}  // namespace

TEST_SUITE("engine/io/crc32") {
  TEST_CASE("known values") {
    const std::string nine = "123456789";
    CHECK(crc32_of(std::as_bytes(std::span(nine))) == 0xCBF43926);
    CHECK(crc32_of({}) == 0);
    CHECK(crc32_of({}, 5) == 5);
  }

  TEST_CASE("checksums of pieces give that of the whole, also behind other bytes") {
    const auto bytes = some(1000);
    const auto all = std::span<const std::byte>(bytes);
    for (const std::size_t piece : {7u, 100u, 999u, 1000u}) {
      std::vector<std::uint32_t> crcs;
      std::size_t last = 0;
      for (std::size_t at = 0; at < all.size(); at += last) {
        last = std::min(piece, all.size() - at);
        crcs.push_back(by_definition(all.subspan(at, last)));
      }
      CHECK(crc32_joined(crcs, piece, last) == by_definition(all));
      CHECK(crc32_joined(std::span(crcs).subspan(1), piece, last, crcs[0]) == by_definition(all));
    }
    CHECK(crc32_joined({}, 5, 5, 17) == 17);
  }

  TEST_CASE("pieces on any number of threads give what the definition gives, also behind other bytes") {
    const int before = num_threads();
    const auto bytes = some((std::size_t{5} << 20) / 2 + 13);
    for (const std::size_t size : {std::size_t{1}, std::size_t{1000}, std::size_t{1} << 20, (std::size_t{1} << 20) + 1,
                                   std::size_t{2} << 20, bytes.size()}) {
      CAPTURE(size);
      const auto part = std::span(bytes).first(size);
      const std::uint32_t expected = by_definition(part);
      for (const int threads : {1, 2, 7}) {
        set_num_threads(threads);
        CHECK(crc32_of(part) == expected);
        const std::size_t cut = size / 3;
        CHECK(crc32_of(part.subspan(cut), crc32_of(part.first(cut))) == expected);
      }
    }
    set_num_threads(before);
  }

  TEST_CASE("one flipped bit anywhere changes it") {
    auto bytes = some(300);
    const std::uint32_t right = crc32_of(bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      for (int bit = 0; bit < 8; ++bit) {
        bytes[i] ^= std::byte{1} << bit;
        CHECK(crc32_of(bytes) != right);
        bytes[i] ^= std::byte{1} << bit;
      }
  }
}
