#include "io/magic.h"

#include <string_view>

namespace coppice {

FileKind file_kind(std::span<const std::byte> bytes) {
  using namespace std::string_view_literals;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) return FileKind::empty;
  if (text.starts_with("PK\3\4"sv) || text.starts_with("PK\5\6"sv)) return FileKind::zip;
  if (text.starts_with("\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv)) return FileKind::torch_legacy;
  if (text.starts_with("\x93NUMPY"sv)) return FileKind::npy;
  if (text.starts_with("\x1f\x8b"sv)) return FileKind::gzip;
  if (text.starts_with("7z\xbc\xaf\x27\x1c"sv)) return FileKind::seven_zip;
  if (text.starts_with("\x89HDF\r\n\x1a\n"sv)) return FileKind::hdf5;
  if (text.starts_with("GGUF"sv)) return FileKind::gguf;
  if (text.size() >= 262 && text.substr(257, 5) == "ustar"sv) return FileKind::tar;
  // A header length below 2^32 and the brace of the JSON behind it, maybe after white space.
  if (text.size() >= 9 && text.substr(4, 4) == "\0\0\0\0"sv) {
    const std::size_t first = text.find_first_not_of(" \t\r\n", 8);
    if (first != text.npos && text[first] == '{') return FileKind::safetensors;
  }
  if (text.size() >= 2 && text[0] == '\x80' && text[1] >= 0 && text[1] <= 5) return FileKind::pickle;
  return FileKind::unknown;
}

const char* describe(FileKind kind) {
  switch (kind) {
    case FileKind::empty: return "empty";
    case FileKind::zip: return "a zip archive";
    case FileKind::torch_legacy: return "a PyTorch file of the legacy format";
    case FileKind::npy: return "a .npy array";
    case FileKind::safetensors: return "a safetensors file";
    case FileKind::pickle: return "a plain pickle";
    case FileKind::tar: return "a tar archive (unpack it, or load and save it again with PyTorch)";
    case FileKind::gzip: return "compressed with gzip (unpack it first)";
    case FileKind::seven_zip: return "a 7z archive (unpack it first)";
    case FileKind::hdf5: return "an HDF5 file";
    case FileKind::gguf: return "a GGUF file";
    case FileKind::unknown: break;
  }
  return "of no known kind";
}

}  // namespace coppice
