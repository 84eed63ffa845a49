#pragma once
/// Lines of NamedTensors::skipped() about what has a name and is not read.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace coppice {

/// "name: what it is"
[[nodiscard]] inline std::string left_out_line(std::string_view name, std::string_view what) {
  return std::string(name).append(": ").append(what);
}

/// Names that lines are about.
class LeftOut {
 public:
  explicit LeftOut(std::vector<std::string> lines) : lines_(std::move(lines)) { std::ranges::sort(lines_); }

  [[nodiscard]] bool contains(std::string_view name) const {
    return std::ranges::binary_search(lines_, name) || starts(left_out_line(name, "")) ||
           starts(std::string(name) + " (");
  }

 private:
  [[nodiscard]] bool starts(const std::string& text) const {
    const auto place = std::ranges::lower_bound(lines_, text);
    return place != lines_.end() && place->starts_with(text);
  }

  std::vector<std::string> lines_;
};

}  // namespace coppice
