#pragma once
/// Scratch folders, outcomes of calls, and tables of refusals.

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "coppice/engine/error.h"
#include "coppice/engine/io/named_tensors.h"
#include "hostile/build.h"
#include "hostile/cases.h"

namespace coppice::test {

inline const std::filesystem::path kData = std::filesystem::path(COPPICE_TESTS_DIR) / "data";

/// A folder of its own, removed at the end.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "coppice-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TempDir() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  /// Number of entries.
  std::size_t size() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

/// The category of `error` as a word.
inline std::string category(const Error& error) {
  if (dynamic_cast<const FormatError*>(&error) != nullptr) return "FormatError";
  if (dynamic_cast<const LimitError*>(&error) != nullptr) return "LimitError";
  if (dynamic_cast<const IoError*>(&error) != nullptr) return "IoError";
  if (dynamic_cast<const NotSupported*>(&error) != nullptr) return "NotSupported";
  if (dynamic_cast<const ValueError*>(&error) != nullptr) return "ValueError";
  if (dynamic_cast<const KeyError*>(&error) != nullptr) return "KeyError";
  if (dynamic_cast<const DtypeError*>(&error) != nullptr) return "DtypeError";
  if (dynamic_cast<const TypeError*>(&error) != nullptr) return "TypeError";
  if (dynamic_cast<const IndexError*>(&error) != nullptr) return "IndexError";
  if (dynamic_cast<const StateError*>(&error) != nullptr) return "StateError";
  return "Error";
}

/// "FormatError: message", or "accepted".
template <class F>
std::string outcome(F&& call) {
  try {
    (void)call();
    return "accepted";
  } catch (const Error& error) {
    return category(error) + ": " + error.what();
  }
}

/// Writes each input to a file and reads it with `read`, which must refuse it as the table says, naming the file; or
/// accept it, and list what the table says among what is left out.
template <class Read>
void check_refused(const std::vector<Hostile>& table, const std::string& file_name, Read read) {
  const TempDir dir;
  for (const Hostile& row : table) {
    CAPTURE(row.what);
    const auto path = dir / file_name;
    spill(path, row.bytes);
    std::string left_out;
    const std::string said = outcome([&] {
      const auto made = read(path);
      if constexpr (std::is_same_v<decltype(made), const NamedTensors>)
        for (const std::string& line : made.skipped()) left_out += line + "\n";
      return 0;
    });
    CAPTURE(said);
    CAPTURE(left_out);
    CHECK(said.starts_with(row.category));
    if (row.category == "accepted") {
      CHECK(("left out: " + left_out).find(row.fragment) != said.npos);
      continue;
    }
    CHECK(said.find(row.fragment) != said.npos);
    CHECK(said.find(file_name) != said.npos);
  }
}

/// Same names in the same order, equal types, shapes and bytes.
inline void check_same_bits(const NamedTensors& a, const NamedTensors& b) {
  REQUIRE(a.names() == b.names());
  for (const auto& [name, tensor] : a) {
    const auto& shown = name;  // Clang 14 cannot capture a structured binding
    CAPTURE(shown);
    const Tensor& other = b.at(name);
    CHECK(tensor.dtype() == other.dtype());
    CHECK(tensor.shape() == other.shape());
    REQUIRE(tensor.nbytes() == other.nbytes());
    CHECK(std::string_view(reinterpret_cast<const char*>(tensor.bytes()), tensor.nbytes()) ==
          std::string_view(reinterpret_cast<const char*>(other.bytes()), other.nbytes()));
  }
}

}  // namespace coppice::test
