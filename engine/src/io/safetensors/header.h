#pragma once
/// The JSON header of safetensors, as it stands in the file.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/limits.h"

namespace coppice {

struct RawEntry {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;
  bool has_shape = false;
  bool has_offsets = false;
};

struct RawHeader {
  std::vector<RawEntry> entries;
  std::map<std::string, std::string> metadata;
};

/// Strict: UTF-8 JSON of exactly the expected structure, no key twice, integers below 2^48. White space around the
/// object is allowed, as in the reference implementation.
/// @throws FormatError, LimitError
[[nodiscard]] RawHeader parse_safetensors_json(std::string_view json, const Source& source, const Limits& limits);

}  // namespace coppice
