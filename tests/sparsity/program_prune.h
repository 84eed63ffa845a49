#pragma once
/// What `coppice prune` refuses.

#include "sparsity/program_refused.h"

namespace coppice::test {

/// `prune` with these words is refused with `code` and `fragment` on stderr, and nothing is written.
inline void check_refused(const TempDir& dir, Words words, int code, const std::string& fragment) {
  words.insert(words.begin(), "prune");
  words.insert(words.end(), {"-o", (dir / "refused.safetensors").string()});
  check_command_refused(dir, words, code, fragment);
}
inline void check_refused(Words words, int code, const std::string& fragment) {
  check_refused(TempDir(), std::move(words), code, fragment);
}

}  // namespace coppice::test
