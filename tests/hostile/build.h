#pragma once
/// Files made of literal bytes: what hostile and fuzzed inputs are built from. Names no test framework.

#include <libdeflate.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coppice/engine/error.h"

namespace coppice::test {

inline void spill(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.good()) throw std::runtime_error("cannot write " + path.string());
}

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.good()) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// `value` in `width` little-endian bytes.
inline std::string le(std::uint64_t value, int width) {
  std::string out;
  for (int i = 0; i < width; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
  return out;
}

/// A safetensors file of this header and data; the length tells the truth.
inline std::string st(const std::string& header, const std::string& data = "") {
  return le(header.size(), 8) + header + data;
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
    const std::uint32_t crc = m.crc_flip ^ ::libdeflate_crc32(0, checked.data(), checked.size());
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

/// A plain file in a tar archive; the size that its header tells can be set apart from the truth.
struct TarMember {
  std::string name;
  std::string data;
  std::uint64_t size = UINT64_MAX;  // default: the truth
};

inline std::string make_tar(const std::vector<TarMember>& members) {
  std::string out;
  for (const TarMember& m : members) {
    std::string header(512, '\0'), digits;
    for (std::uint64_t size = m.size == UINT64_MAX ? m.data.size() : m.size; digits.size() < 11; size /= 8)
      digits.insert(digits.begin(), static_cast<char>('0' + size % 8));
    header.replace(0, m.name.size(), m.name).replace(124, 11, digits).replace(156, 1, "0").replace(257, 5, "ustar");
    out += header + m.data + std::string((512 - m.data.size() % 512) % 512, '\0');
  }
  return out + std::string(1024, '\0');
}

/// A .npy file of `bytes` zeros.
inline std::string zeros(std::size_t bytes) {
  const std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (" + std::to_string(bytes) + ",)}\n";
  return std::string("\x93NUMPY\1\0", 8) + le(header.size(), 2) + header + std::string(bytes, '\0');
}

/// Deflated without a frame, as in a zip.
inline std::string deflated(const std::string& data) {
  const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> work(::libdeflate_alloc_compressor(9),
                                                                                      &::libdeflate_free_compressor);
  if (work == nullptr) throw std::bad_alloc();
  std::string out(::libdeflate_deflate_compress_bound(work.get(), data.size()), '\0');
  out.resize(::libdeflate_deflate_compress(work.get(), data.data(), data.size(), out.data(), out.size()));
  return out;
}

/// A deflated member that tells the truth.
inline Member packed(const std::string& name, const std::string& data) {
  return {.name = name, .data = deflated(data), .method = 8, .size = data.size(), .unpacked = data};
}

}  // namespace coppice::test
