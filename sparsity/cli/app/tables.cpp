#include "app/tables.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "coppice/engine/error.h"

namespace coppice::cli {
namespace {

/// The first characters of `text`, `most` bytes at most.
std::string_view cut_text(std::string_view text, std::size_t most) {
  while (most > 0 && most < text.size() && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return text.substr(0, most);
}

}  // namespace

std::string Table::text() const {
  std::vector<std::size_t> width(head.size());
  // A name from a file may have thousands of bytes, and would make every line as wide. What tells names apart stands at
  // their end.
  constexpr std::size_t kWidest = 100, kHead = 30;
  const auto cell = [](const std::string& text) {
    if (text.size() <= kWidest) return text;
    std::size_t from = text.size() - (kWidest - kHead - 3);
    while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
    return std::string(cut_text(text, kHead)) + "..." + text.substr(from);
  };
  const auto measure = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size() && i < width.size(); ++i)
      width[i] = std::max(width[i], std::min(row[i].size(), kWidest));
  };
  measure(head);
  for (const auto& row : rows) measure(row);
  const auto line = [&](const std::vector<std::string>& row) {
    std::string out;
    for (std::size_t i = 0; i < row.size() && i < width.size(); ++i) {
      const std::string text = cell(row[i]);
      const std::string pad(width[i] - text.size(), ' ');
      if (i > 0) out += "  ";
      out += i == 0 ? text + pad : pad + text;
    }
    return out.erase(out.find_last_not_of(' ') + 1);
  };
  std::string out = line(head);
  for (const auto& row : rows) out += '\n' + line(row);
  return out;
}

std::string grouped(std::int64_t n) {
  std::string text = cat(n);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

std::string fixed(double value, int digits) {
  if (std::isnan(value)) return "nan";  // without a sign, which nobody chose
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return buffer;
}

std::string percent(double fraction) { return fixed(100 * fraction, 1) + " %"; }

}  // namespace coppice::cli
