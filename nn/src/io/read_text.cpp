#include "io/read_text.h"

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"

namespace coppice::nn {

std::string read_text(const std::filesystem::path& path) {
  ReadOptions options;
  options.limits.file_bytes = std::uint64_t{1} << 24;
  options.map = false;
  const auto file = MappedFile::open(path, Source{"read_text", path.string()}, options);
  const auto bytes = file->bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace coppice::nn
