#pragma once
/// Every hostile file of the tables and those too large for one, with the file name that selects its reader.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "coppice/engine/io/named_tensors.h"
#include "hostile/cases.h"

namespace coppice::test {

struct HostileFile {
  Hostile input;
  std::string extension;            ///< ".safetensors", ".pt" …; ".model" and ".json" go to their readers
  std::uint64_t padded_bytes = 0;   ///< the file grows to this size, as a hole
  /// "H04 header of …" -> "H04"; empty for inputs without a number.
  [[nodiscard]] std::string id() const;
  /// A name for the file, from its number, words and place.
  [[nodiscard]] std::string file_name(std::size_t place) const;
};

/// All of them, in the order of the tables. What is "accepted" is a valid file that might cost too much.
[[nodiscard]] std::vector<HostileFile> hostile_corpus();

void write_hostile(const HostileFile& file, const std::filesystem::path& path);

/// Reads the file with the library call that its extension asks for. @throws coppice::Error
void read_hostile(const HostileFile& file, const std::filesystem::path& path);

}  // namespace coppice::test
