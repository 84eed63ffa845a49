#pragma once
/// Mutations of texts that the mutations of whole files are made of.

#include <cstddef>
#include <string>

namespace coppice::fuzz {

/// libFuzzer's own mutation; the text may grow by `room`.
[[nodiscard]] std::string mutate_text(std::string text, std::size_t room);
[[nodiscard]] std::string mutate_json_text(std::string text, unsigned seed);

}  // namespace coppice::fuzz
