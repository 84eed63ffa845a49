#pragma once
// Exit codes, and what main() turns into them besides the errors of the libraries.

#include <stdexcept>

namespace coppice::cli {

enum Exit { kDone = 0, kFailed = 1, kUsage = 2, kInvalid = 3, kLimit = 4, kIo = 5, kMismatch = 6, kInterrupted = 130 };

/// A wrong combination of options, found after parsing.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace coppice::cli
