#pragma once
// Tables and numbers as text.

#include <cstdint>
#include <string>
#include <vector>

namespace coppice::cli {

/// Columns as wide as their longest cell, of which 100 bytes are shown at most; all but the first are flush right.
struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
  [[nodiscard]] std::string text() const;
};

/// "1,234,567"
[[nodiscard]] std::string grouped(std::int64_t n);
/// `value` with `digits` behind the point.
[[nodiscard]] std::string fixed(double value, int digits);
/// "90.0 %"
[[nodiscard]] std::string percent(double fraction);

}  // namespace coppice::cli
