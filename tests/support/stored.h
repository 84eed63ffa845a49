#pragma once
/// Files of the project that hold what a program prints: compared in tests, written anew where COPPICE_REWRITE is set.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace coppice::testing {

/// Whether `text` is what `file` (below the project's folder) holds; writes it there first if COPPICE_REWRITE is set.
[[nodiscard]] inline bool is_stored(const std::string& file, const std::string& text) {
  const auto path = std::filesystem::path(COPPICE_TESTS_DIR).parent_path() / file;
  if (std::getenv("COPPICE_REWRITE") != nullptr) std::ofstream(path, std::ios::binary) << text;
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {}) == text;
}

}  // namespace coppice::testing
