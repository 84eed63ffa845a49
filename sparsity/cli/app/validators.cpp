#include "app/validators.h"

#include <charconv>
#include <utility>

#include "app/exit.h"
#include "coppice/engine/error.h"

namespace coppice::cli {

void only_with(const CLI::Option& option, const std::string& what) {
  if (option.count() > 0) throw UsageError(cat(option.get_name(), " has an effect with ", what, " only"));
}

CLI::Validator finite(double low, double high) {
  return {[low, high](std::string& text) -> std::string {
            double value = 0;
            const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error == std::errc() && at == text.data() + text.size() && value >= low && value <= high) return {};
            return cat("must be a number in ", low, "..", high, "; got '", text, "'");
          },
          cat("NUMBER in ", low, "..", high)};
}

CLI::Validator whole(std::int64_t low, std::uint64_t high) {
  return {[low, high](std::string& text) -> std::string {
            const char* const end = text.data() + text.size();
            std::int64_t negative = 0;
            std::uint64_t value = 0;
            const bool below = text.starts_with('-');
            const auto [at, error] =
                below ? std::from_chars(text.data(), end, negative) : std::from_chars(text.data(), end, value);
            const bool inside =
                below ? negative >= low : value <= high && (low <= 0 || value >= static_cast<std::uint64_t>(low));
            if (error != std::errc() || at != end || !inside)
              return cat("must be a whole number in ", low, "..", high, "; got '", text, "'");
            text = below ? cat(negative) : cat(value);  // without zeros in front
            return {};
          },
          high < INT64_MAX ? cat("in ", low, "..", high) : std::string()};
}

CLI::Validator floating_type() {
  return {[](std::string& text) -> std::string {
            for (const auto& [brief, name] :
                 {std::pair("f32", "float32"), {"f64", "float64"}, {"f16", "float16"}, {"bf16", "bfloat16"}})
              if (text == brief || text == name) {
                text = name;
                return {};
              }
            return cat("must be float32, float64, float16 or bfloat16; got '", text, "'");
          },
          "{float32, float64, float16, bfloat16}"};
}

}  // namespace coppice::cli
