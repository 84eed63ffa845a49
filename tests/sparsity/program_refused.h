#pragma once
/// Commands that are refused and write nothing.

#include "sparsity/program.h"

namespace coppice::test {

/// The command is refused with `code` and `fragment` on stderr, and `dir` has the files that it had.
inline void check_command_refused(const TempDir& dir, const Words& words, int code, const std::string& fragment) {
  const std::size_t files = dir.size();
  const Said said = run(words);
  CAPTURE(said.err);
  CHECK(said.code == code);
  CHECK(holds(said.err, fragment));
  CHECK(said.out.empty());
  CHECK(dir.size() == files);
}

}  // namespace coppice::test
