#pragma once
// Small text files whole. Private to nn.

#include <filesystem>
#include <string>

namespace coppice::nn {

/// @throws IoError; LimitError  above 16 MB
[[nodiscard]] std::string read_text(const std::filesystem::path& path);

}  // namespace coppice::nn
