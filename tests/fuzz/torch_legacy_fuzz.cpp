/// Any bytes behind the magic number of the format before PyTorch 1.6, so that no input is spent on finding it.

#include <string_view>
#include <vector>

#include "fuzz/torch_round_trip.h"

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
  fuzz::check_torch_file(fuzz::file_of(bytes));
  return 0;
}
