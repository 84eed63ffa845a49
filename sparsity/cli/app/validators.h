#pragma once
// What options take.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace coppice::cli {

/// Refuses an option that was given where it has no effect. @throws UsageError
void only_with(const CLI::Option& option, const std::string& what);
/// A number in [low, high]; unlike CLI::Range it refuses NaN.
[[nodiscard]] CLI::Validator finite(double low, double high);
/// A whole decimal number in [low, high], for transform(). Every integer option has it: the parser alone reads 010 as
/// eight, -1 as 2^64 - 1, and takes the nearest number for one that is too large.
[[nodiscard]] CLI::Validator whole(std::int64_t low, std::uint64_t high);
/// A floating type by PyTorch's name or a short one, for transform(): f32 becomes float32.
[[nodiscard]] CLI::Validator floating_type();

}  // namespace coppice::cli
