#pragma once
// `prune --memory-limit`: what pruning will hold in memory, known before it begins.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "../prunables.h"
#include "app.h"
#include "app/results.h"

namespace coppice::cli {

/// How a method goes over tensors whose masks are taken as bits (Prunables::takes_bits).
struct MethodMemory {
  enum class Way {
    streamed,  ///< values are read in windows
    single,    ///< one tensor at a time stands whole in memory
    whole,     ///< all stand in memory together
  } way = Way::whole;
  bool together = false;        ///< streamed: all tensors are one sequence
  std::uint64_t per_entry = 0;  ///< single: bytes beside the values and the mask
};

/// The limit, and the plan that keeps it.
///
/// With n entries of s bytes in a tensor, and with sums over all targets and maxima over each, a plan is an upper bound
/// of the pages that the process will ever have in memory at once:
///   base      what it holds when the file is open: itself, copies of values that could not be mapped
///   + slack   16 MB, 4 MB for each thread, and for each tensor of the file 4 KB and 16 times its name
///   + masks   sum of n / 8
///   + work    streamed: the window + max (of all together: sum) of n / 2
///             single:   max of n s + n + n per_entry, and what is kept of freed blocks
///             whole:    40 sum n + 24 for entries of the files
/// Outputs are written in pieces, which are in the slack; what is not written so counts as whole.
class MemoryLimit {
 public:
  void add_options(CLI::App* sub);
  [[nodiscard]] bool given() const { return limit_.has_value(); }
  /// Before the file is read: bounds what reading may take, in the limits of `app` too.
  /// @throws LimitError  if reading alone needs more
  void before_reading(App& app, const std::string& input);
  /// Before anything is pruned: takes the largest window, and the most threads, with which the limit is kept.
  /// @param in_pieces  the output is written in pieces
  /// @throws LimitError  if there are none, naming the bytes that are needed
  void plan(const Prunables& input, const std::vector<sparsity::Prunable>& targets, const MethodMemory& method,
            bool in_pieces);
  /// Bytes of values that are read until their pages are given back.
  [[nodiscard]] std::uint64_t window() const { return window_; }
  /// "memory" of the document: limit and planned bytes, null without a limit, and the peak so far.
  [[nodiscard]] Json described() const;
  /// The line of the report.
  [[nodiscard]] std::string text() const;

 private:
  [[nodiscard]] std::uint64_t needed(const Prunables& input, const std::vector<sparsity::Prunable>& targets,
                                     const MethodMemory& method, bool in_pieces) const;

  std::optional<std::uint64_t> limit_, planned_;
  std::uint64_t window_ = std::uint64_t{1} << 24;
};

}  // namespace coppice::cli
