#pragma once
/// What `coppice prune` refuses.

#include "sparsity/program.h"

namespace coppice::test {

/// `prune` with these words is refused with `code` and `fragment` on stderr, and nothing is written.
inline void check_refused(const TempDir& dir, Words words, int code, const std::string& fragment) {
  const std::size_t files = dir.size();
  words.insert(words.begin(), "prune");
  words.insert(words.end(), {"-o", (dir / "refused.safetensors").string()});
  const Said said = run(words);
  CAPTURE(said.err);
  CHECK(said.code == code);
  CHECK(holds(said.err, fragment));
  CHECK(said.out.empty());
  CHECK(dir.size() == files);
}
inline void check_refused(Words words, int code, const std::string& fragment) {
  check_refused(TempDir(), std::move(words), code, fragment);
}

}  // namespace coppice::test
