#pragma once
/// Every hostile file of the tables and those too large for one, with the file name that selects its reader and what
/// stands beside it.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "coppice/engine/io/named_tensors.h"
#include "hostile/cases.h"

namespace coppice::test {

/// What stands at a path.
enum class Kind { file, folder, link, hard_link, pipe, socket };

/// Something in the folder of a hostile file.
struct Companion {
  std::string name;
  std::string bytes = {};  ///< of a file; where a link leads
  Kind kind = Kind::file;
};

struct HostileFile {
  Hostile input;
  std::string extension;               ///< ".safetensors", ".pt" …; ".model", ".members", ".index", ".json" and
                                       ///< ".checkpoint" go to the readers of those
  std::uint64_t padded_bytes = 0;      ///< the file grows to this size, as a hole
  Kind kind = Kind::file;              ///< what the file itself is; `input.bytes` is where a link leads
  std::string own_name = {};           ///< its name in a folder of its own; empty: one file among others
  std::vector<Companion> beside = {};  ///< in that folder, made in this order and before the file itself
  std::vector<double> values = {};     ///< of all tensors of an accepted file, in order, where they are worth a look

  /// "H04 header of …" -> "H04"; empty for inputs without a number.
  [[nodiscard]] std::string id() const;
  /// A name for the file or its folder, from its number, words and place.
  [[nodiscard]] std::string entry_name(std::size_t place) const;
};

/// All of them, in the order of the tables. What is "accepted" is a valid file that might cost too much, or that
/// readers get wrong.
[[nodiscard]] std::vector<HostileFile> hostile_corpus();

/// Checkpoints in shards, the checkpoints of training runs, and paths that are no files or have odd names: tables of
/// those that need more than bytes.
[[nodiscard]] std::vector<HostileFile> sharded_cases();
[[nodiscard]] std::vector<HostileFile> checkpoint_cases();
[[nodiscard]] std::vector<HostileFile> path_cases();

/// Writes the file into `dir`, under entry_name() or in a folder of that name; its path.
std::filesystem::path write_hostile(const HostileFile& file, const std::filesystem::path& dir, std::size_t place);

/// Reads the file with the library call that its extension asks for.
/// @throws coppice::Error; std::logic_error  if it has other values than it should
void read_hostile(const HostileFile& file, const std::filesystem::path& path);

}  // namespace coppice::test
