#pragma once
/// Warnings: what is likely a mistake, and is done all the same.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "coppice/engine/cxx20.h"

namespace coppice {

/// Takes the text of a warning, without a newline. Called by one thread at a time; it must not warn itself.
using WarningSink = std::function<void(const std::string&)>;

/// Sends `text` to the sink: each text once for as long as the process lives, unless warn_always(true). What is
/// remembered is bounded; beyond 4,096 texts every one is sent.
/// Source: Python's warnings.warn, torch.set_warn_always
void warn(std::string_view text);

/// Where warnings go from here on, each text for the first time again. An empty sink is the default: a line
/// "warning: …" on stderr.
/// @return  the sink before, empty for the default
WarningSink set_warning_sink(WarningSink sink);

/// Whether a text is sent every time rather than once. Off by default. @return  the setting before
bool warn_always(bool on);

/// While one lives, warnings of all threads are kept here instead, each time they are given. Nests, the
/// innermost takes them; they end in the reverse order, whatever their threads.
class CatchWarnings {
 public:
  CatchWarnings();
  ~CatchWarnings();
  CatchWarnings(const CatchWarnings&) = delete;
  CatchWarnings& operator=(const CatchWarnings&) = delete;

  /// The texts so far, in their order.
  [[nodiscard]] std::vector<std::string> texts() const;

 private:
  friend void warn(std::string_view text);
  std::vector<std::string> texts_;
  CatchWarnings* outer_;
};

}  // namespace coppice
