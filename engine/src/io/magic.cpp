#include "io/magic.h"

#include <algorithm>
#include <string_view>

namespace coppice {
namespace {

using namespace std::string_view_literals;

/// The magic number of PyTorch's legacy format as a pickle of any protocol: behind PROTO, maybe in a FRAME, or as text.
bool is_torch_legacy(std::string_view text) {
  constexpr auto kNumber = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv;
  if (text.starts_with("L119547037146038801333356L\n.")) return true;
  if (text.size() < 2 || text[0] != '\x80' || text[1] < 2 || text[1] > 5) return false;
  return text.substr(2).starts_with(kNumber) ||
         (text.size() > 11 && text[2] == '\x95' && text.substr(11).starts_with(kNumber));
}

/// A page, as servers give to whoever has to log in first.
bool is_html(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF"sv)) text.remove_prefix(3);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return false;
  const auto begins = [&](std::string_view word) {
    const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; };
    return text.size() - first >= word.size() &&
           std::equal(word.begin(), word.end(), text.begin() + first, [&](char b, char a) { return same(a, b); });
  };
  return begins("<!doctype html") || begins("<html");
}

/// A message of protobuf whose first field is the version of ONNX, and whose second is a text or another number of it.
bool is_onnx(std::string_view text) {
  constexpr auto kNext = "\x12\x1a\x22\x28\x32\x3a\x42"sv;
  return text.size() >= 4 && text[0] == 8 && text[1] >= 1 && text[1] <= 64 && kNext.find(text[2]) != kNext.npos;
}

}  // namespace

FileKind file_kind(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) return FileKind::empty;
  if (text.starts_with("PK\3\4"sv) || text.starts_with("PK\5\6"sv)) return FileKind::zip;
  if (is_torch_legacy(text)) return FileKind::torch_legacy;
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
  if (text.starts_with("version https://git-lfs.github.com/spec/"sv)) return FileKind::lfs_pointer;
  if (is_html(text)) return FileKind::html;
  if (is_onnx(text)) return FileKind::onnx;
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
    case FileKind::tar: return "a tar archive (unpack it)";
    case FileKind::gzip: return "compressed with gzip (unpack it first)";
    case FileKind::seven_zip: return "a 7z archive (unpack it first)";
    case FileKind::hdf5: return "an HDF5 file";
    case FileKind::gguf: return "a GGUF file";
    case FileKind::onnx: return "an ONNX model (export the state_dict of the model that it was made from)";
    case FileKind::html: return "an HTML page, not the file that it was to lead to (download that one)";
    case FileKind::lfs_pointer: return "a pointer of Git LFS, not the file itself (git lfs pull fetches it)";
    case FileKind::unknown: break;
  }
  return "of no known kind";
}

}  // namespace coppice
