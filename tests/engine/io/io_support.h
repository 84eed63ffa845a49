#pragma once
/// Scratch folders, files made of literal bytes, and tables of refusals.

#include <doctest/doctest.h>
#include <stdlib.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coppice/engine/error.h"
#include "coppice/engine/io/named_tensors.h"

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

inline void spill(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(file.good());
}

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// `value` in `width` little-endian bytes.
inline std::string le(std::uint64_t value, int width) {
  std::string out;
  for (int i = 0; i < width; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
  return out;
}

/// The category of `error` as a word.
inline std::string category(const Error& error) {
  if (dynamic_cast<const FormatError*>(&error) != nullptr) return "FormatError";
  if (dynamic_cast<const LimitError*>(&error) != nullptr) return "LimitError";
  if (dynamic_cast<const IoError*>(&error) != nullptr) return "IoError";
  if (dynamic_cast<const NotSupported*>(&error) != nullptr) return "NotSupported";
  if (dynamic_cast<const ValueError*>(&error) != nullptr) return "ValueError";
  if (dynamic_cast<const KeyError*>(&error) != nullptr) return "KeyError";
  if (dynamic_cast<const DtypeError*>(&error) != nullptr) return "DtypeError";
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

/// One hostile input: what it is, its bytes, and the words that the refusal must hold. The first word is the category.
struct Hostile {
  std::string what;
  std::string bytes;
  std::string category;
  std::string fragment;
};

/// Writes each input to a file and reads it with `read`, mapped and not; both must refuse it as the table says, and the
/// message must name the file.
template <class Read>
void check_refused(const std::vector<Hostile>& table, const std::string& file_name, Read read) {
  const TempDir dir;
  for (const Hostile& row : table) {
    CAPTURE(row.what);
    const auto path = dir / file_name;
    spill(path, row.bytes);
    const std::string said = outcome([&] { return read(path); });
    CAPTURE(said);
    CHECK(said.starts_with(row.category));
    CHECK(said.find(row.fragment) != said.npos);
    CHECK(said.find(file_name) != said.npos);
  }
}

/// A stored zip member for make_zip; the fields that lie can be set apart from the truth.
struct Member {
  std::string name;
  std::string data = {};
  std::uint16_t method = 0;
  std::uint16_t flags = 0;
  std::uint64_t size = UINT64_MAX;  // in both headers; default: the truth
  std::string local_name = {};      // default: name
  std::uint32_t crc_flip = 0;
  std::uint64_t directory_offset = UINT64_MAX;  // default: the truth
  std::string unpacked = {};                    // what the checksum is of; default: data
};

/// A zip without extra fields and zip64, the plainest that readers must take.
inline std::string make_zip(const std::vector<Member>& members, std::uint64_t count = UINT64_MAX) {
  std::string out, directory;
  for (const Member& m : members) {
    const std::uint64_t at = out.size();
    const std::string& checked = m.unpacked.empty() ? m.data : m.unpacked;
    const auto crc = m.crc_flip ^ static_cast<std::uint32_t>(::crc32(0, reinterpret_cast<const Bytef*>(checked.data()),
                                                                     static_cast<uInt>(checked.size())));
    const std::uint64_t size = m.size == UINT64_MAX ? m.data.size() : m.size;
    const std::string& local = m.local_name.empty() ? m.name : m.local_name;
    const std::string common =
        le(m.flags, 2) + le(m.method, 2) + le(0x00210000, 4) + le(crc, 4) + le(m.data.size(), 4) + le(size, 4);
    out += "PK\3\4" + le(20, 2) + common + le(local.size(), 2) + le(0, 2) + local + m.data;
    directory += "PK\1\2" + le(20, 2) + le(20, 2) + common + le(m.name.size(), 2) + le(0, 2) + le(0, 2) + le(0, 2) +
                 le(0, 2) + le(0, 4) + le(m.directory_offset == UINT64_MAX ? at : m.directory_offset, 4) + m.name;
  }
  const std::uint64_t n = count == UINT64_MAX ? members.size() : count;
  return out + directory + "PK\5\6" + le(0, 4) + le(n, 2) + le(n, 2) + le(directory.size(), 4) + le(out.size(), 4) +
         le(0, 2);
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
