#include "coppice/sparsity/amount.h"

#include <charconv>
#include <cmath>

#include "coppice/engine/error.h"

namespace coppice::sparsity {

std::int64_t Amount::checked(std::int64_t count) {
  if (count < 0) throw ValueError(cat("[Amount] a count must be at least 0; got ", count));
  return count;
}

std::int64_t Amount::checked(std::uint64_t count) {
  if (count > INT64_MAX) throw ValueError(cat("[Amount] a count must be at most ", INT64_MAX, "; got ", count));
  return static_cast<std::int64_t>(count);
}

Amount::Amount(double fraction) : value_(fraction) {
  if (!(fraction >= 0 && fraction <= 1)) throw ValueError(cat("[Amount] a fraction must be in 0..1; got ", fraction));
}

Amount Amount::parse(std::string_view text) {
  const char* end = text.data() + text.size();
  if (text.find_first_of(".eE") == std::string_view::npos) {
    std::int64_t count = 0;
    const auto [at, error] = std::from_chars(text.data(), end, count);
    if (error == std::errc() && at == end && !text.empty()) return Amount(count);
  }
  double fraction = 0;
  const auto [at, error] = std::from_chars(text.data(), end, fraction);
  if (error != std::errc() || at != end || text.empty())
    throw ValueError(cat("[Amount] '", text, "' is neither a count (3) nor a fraction (0.3)"));
  return Amount(fraction);
}

std::int64_t Amount::of(std::int64_t units) const {
  if (const auto* fraction = std::get_if<double>(&value_))
    return static_cast<std::int64_t>(std::nearbyint(*fraction * static_cast<double>(units)));
  const std::int64_t count = std::get<std::int64_t>(value_);
  if (count > units) throw ValueError(cat("[Amount] cannot prune ", count, " of ", units, " units"));
  return count;
}

double Amount::number() const {
  return is_count() ? static_cast<double>(std::get<std::int64_t>(value_)) : std::get<double>(value_);
}

std::string to_string(const Amount& amount) {
  if (amount.is_count()) return cat(amount.of(INT64_MAX));
  std::string text = cat(amount.number());
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace coppice::sparsity
