/// Any bytes behind the magic number of the format before PyTorch 1.6, so that no input is spent on finding it.

#include <string_view>
#include <vector>

#include "coppice/engine/io/torch_file.h"
#include "fuzz/fuzz_target.h"

using namespace coppice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace std::string_view_literals;
  static constexpr std::string_view kMagic = "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // Saved inputs may be whole files, of any protocol.
  const std::size_t number = input.substr(0, 32).find(kMagic.substr(2));
  const bool whole = number == 2 || number == 11 || input.starts_with("L119547037146038801333356L\n"sv);
  std::vector<std::uint8_t> bytes;
  if (!whole) bytes.assign(kMagic.begin(), kMagic.end());
  bytes.insert(bytes.end(), data, data + size);
  const auto& path = fuzz::file_of(bytes);
  NamedTensors read;
  const bool read_at_all = fuzz::loads([&] { read = read_torch(path, fuzz::tight()); });
  ReadOptions options = fuzz::tight();
  options.strict = true;
  NamedTensors strict;
  if (fuzz::loads([&] { strict = read_torch(path, options); })) {
    fuzz::require(read_at_all, "what is read when strict must be read otherwise");
    fuzz::require_same(read, strict);
  }
  if (!read_at_all || !fuzz::small(read)) return 0;
  const auto copy = fuzz::scratch("copy.pt");
  write_torch(copy, read);
  fuzz::require_same(read, read_torch(copy));
  return 0;
}
