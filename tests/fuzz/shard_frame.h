#pragma once
/// A folder with an index and shards as one block of bytes, for the target `sharded` and what makes its inputs.
///
/// The first byte holds two bits for each shard: what it is. Then come the index and the shards, each with two
/// little-endian bytes for its length in front. A block that ends early has shorter or empty files.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace coppice::fuzz {

/// Names that stand in the tables of hostile files too, so that their indexes fit.
inline constexpr std::array<const char*, 4> kShardNames{"one.safetensors", "two.safetensors", "x.safetensors",
                                                        "y.safetensors"};

enum class ShardKind { file, link_out, link_beside, folder };  ///< a link out of the folder, and one to the first shard

struct ShardFrame {
  std::uint8_t kinds = 0;
  std::string index;
  std::array<std::string, kShardNames.size()> shards;

  [[nodiscard]] ShardKind kind(std::size_t i) const { return static_cast<ShardKind>(kinds >> (2 * i) & 3); }
  void set_kind(std::size_t i, ShardKind kind) {
    kinds = static_cast<std::uint8_t>((kinds & ~(3 << (2 * i))) | static_cast<int>(kind) << (2 * i));
  }
};

[[nodiscard]] inline ShardFrame unframed(std::string_view bytes) {
  ShardFrame out;
  if (bytes.empty()) return out;
  out.kinds = static_cast<std::uint8_t>(bytes[0]);
  bytes.remove_prefix(1);
  const auto next = [&] {
    if (bytes.size() < 2) return std::string();
    const std::size_t length = static_cast<std::uint8_t>(bytes[0]) | static_cast<std::uint8_t>(bytes[1]) << 8;
    std::string part(bytes.substr(2, length));
    bytes.remove_prefix(2 + part.size());
    return part;
  };
  out.index = next();
  for (std::string& shard : out.shards) shard = next();
  return out;
}

/// Every part must be shorter than 64 KB.
[[nodiscard]] inline std::string framed(const ShardFrame& frame) {
  std::string out(1, static_cast<char>(frame.kinds));
  const auto add = [&](const std::string& part) {
    out += {static_cast<char>(part.size() & 0xFF), static_cast<char>(part.size() >> 8)};
    out += part;
  };
  add(frame.index);
  for (const std::string& shard : frame.shards) add(shard);
  return out;
}

}  // namespace coppice::fuzz
