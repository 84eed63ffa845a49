#include "coppice/engine/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

#include "coppice/engine/error.h"

namespace coppice {
namespace {

constexpr std::size_t kWords = 624;
constexpr std::size_t kShift = 397;
constexpr std::size_t kBlock = 16;  // PyTorch's unit of a large normal fill

/// The type in which a distribution of T computes.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// Uniform in [0, 1): as many random bits as the type has significant ones.
template <class W>
W unit(Generator& stream) {
  constexpr int digits = std::numeric_limits<W>::digits;
  constexpr double scale = 1.0 / static_cast<double>(std::uint64_t{1} << digits);
  constexpr std::uint64_t mask = (std::uint64_t{1} << digits) - 1;
  const std::uint64_t bits = std::is_same_v<W, double> ? stream.next64() : stream.next32();
  return static_cast<W>(bits & mask) * static_cast<W>(scale);
}

/// 16 uniform numbers become 16 normal ones (Box and Muller): 8 radii, 8 angles.
template <class T, class W>
void box_muller(const W* in, T* out, W mean, W deviation) {
  for (std::size_t j = 0; j < kBlock / 2; ++j) {
    const W u = in[j], v = in[j + kBlock / 2];
    const W radius = std::sqrt(W(-2) * std::log(W(1) - u));
    const W angle = W(2) * std::numbers::pi_v<W> * v;
    out[j] = convert<T>(std::fma(radius * std::cos(angle), deviation, mean));
    out[j + kBlock / 2] = convert<T>(std::fma(radius * std::sin(angle), deviation, mean));
  }
}

}  // namespace

void Generator::manual_seed(std::uint64_t seed) {
  seed_ = seed;
  words_[0] = static_cast<std::uint32_t>(seed);
  for (std::size_t i = 1; i < kWords; ++i)
    words_[i] = 1812433253u * (words_[i - 1] ^ (words_[i - 1] >> 30)) + static_cast<std::uint32_t>(i);
  position_ = kWords;
  kept_normal_.reset();
}

void Generator::refill() {
  const auto twist = [this](std::size_t i, std::size_t next, std::size_t other) {
    const std::uint32_t y = (words_[i] & 0x80000000u) | (words_[next] & 0x7fffffffu);
    words_[i] = words_[other] ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
  };
  for (std::size_t i = 0; i < kWords - kShift; ++i) twist(i, i + 1, i + kShift);
  for (std::size_t i = kWords - kShift; i < kWords - 1; ++i) twist(i, i + 1, i + kShift - kWords);
  twist(kWords - 1, 0, kShift - 1);
  position_ = 0;
}

std::uint32_t Generator::next32() {
  if (position_ == kWords) refill();
  std::uint32_t y = words_[position_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

std::uint64_t Generator::next64() {
  const std::uint64_t high = next32();
  return high << 32 | next32();
}

template <class T>
void Generator::fill_uniform(std::span<T> out, double low, double high) {
  using W = Wide<T>;
  const W from = static_cast<W>(low), to = static_cast<W>(high), width = to - from;
  if (!std::isfinite(from) || !std::isfinite(to) || !std::isfinite(convert<W>(convert<T>(from))) ||
      !std::isfinite(convert<W>(convert<T>(to))) || from > to)
    throw ValueError(cat("[uniform] needs finite low <= high; got low ", low, " and high ", high));
  if constexpr (std::is_floating_point_v<T>) {
    if (from == 0 && width == 1)
      for (T& value : out) value = unit<W>(*this);  // the same numbers, without a call of fma for each
    else
      for (T& value : out) value = std::fma(unit<W>(*this), width, from);
  } else {
    // Rounding to a half type may reach the upper end, which does not belong to the range.
    const T lowest = convert<T>(from);
    const W end = convert<W>(convert<T>(to));
    for (T& value : out) {
      value = convert<T>(std::fma(unit<W>(*this), width, from));
      if (convert<W>(value) == end) value = lowest;
    }
  }
}

void Generator::uniform(std::span<float> out, double low, double high) { fill_uniform(out, low, high); }
void Generator::uniform(std::span<double> out, double low, double high) { fill_uniform(out, low, high); }
void Generator::uniform(std::span<Half> out, double low, double high) { fill_uniform(out, low, high); }
void Generator::uniform(std::span<BFloat16> out, double low, double high) { fill_uniform(out, low, high); }

double Generator::next_normal() {
  if (kept_normal_) return *std::exchange(kept_normal_, std::nullopt);
  const double angle = 2.0 * std::numbers::pi * unit<double>(*this);
  const double radius = std::sqrt(-2.0 * std::log1p(-unit<double>(*this)));
  kept_normal_ = radius * std::sin(angle);
  return radius * std::cos(angle);
}

template <class T>
void Generator::fill_normal(std::span<T> out, double mean, double deviation) {
  if (!(deviation >= 0)) throw ValueError(cat("[normal] deviation must be at least 0; got ", deviation));
  if (out.size() < kBlock) {
    for (T& value : out) value = convert<T>(next_normal() * deviation + mean);
    return;
  }
  using W = Wide<T>;
  const W centre = static_cast<W>(mean), width = static_cast<W>(deviation);
  std::array<W, kBlock> block;
  const std::size_t whole = out.size() / kBlock * kBlock;
  for (std::size_t i = 0; i < whole; i += kBlock) {
    for (W& u : block) u = unit<W>(*this);
    box_muller(block.data(), out.data() + i, centre, width);
  }
  if (whole == out.size()) return;
  // PyTorch draws uniform numbers for the rest too, except for half types, then draws the last block anew.
  if constexpr (std::is_floating_point_v<T>)
    for (std::size_t i = whole; i < out.size(); ++i) (void)unit<W>(*this);
  for (W& u : block) u = unit<W>(*this);
  box_muller(block.data(), out.data() + out.size() - kBlock, centre, width);
}

void Generator::normal(std::span<float> out, double mean, double deviation) { fill_normal(out, mean, deviation); }
void Generator::normal(std::span<double> out, double mean, double deviation) { fill_normal(out, mean, deviation); }
void Generator::normal(std::span<Half> out, double mean, double deviation) { fill_normal(out, mean, deviation); }
void Generator::normal(std::span<BFloat16> out, double mean, double deviation) { fill_normal(out, mean, deviation); }

void Generator::integers(std::span<std::int64_t> out, std::int64_t low, std::int64_t high) {
  if (low >= high) throw ValueError(cat("[integers] needs low < high; got ", low, " and ", high));
  const std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  const bool wide = range >= std::uint64_t{1} << 32;
  for (std::int64_t& value : out) {
    const std::uint64_t draw = wide ? next64() : next32();
    value = static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + draw % range);
  }
}

void Generator::bernoulli(std::span<float> out, double p) {
  if (!(p >= 0 && p <= 1)) throw ValueError(cat("[bernoulli] p must be in 0..1; got ", p));
  for (float& value : out) value = unit<double>(*this) < p ? 1.0f : 0.0f;
}

void Generator::bernoulli(std::span<double> out, double p) {
  if (!(p >= 0 && p <= 1)) throw ValueError(cat("[bernoulli] p must be in 0..1; got ", p));
  for (double& value : out) value = unit<double>(*this) < p ? 1.0 : 0.0;
}

std::vector<std::int64_t> Generator::permutation(std::int64_t n) {
  if (n < 0) throw ValueError(cat("[permutation] n must be at least 0; got ", n));
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::int64_t i = 0; i + 1 < n; ++i) {
    const auto step = static_cast<std::int64_t>(next32() % static_cast<std::uint64_t>(n - i));
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(i + step)]);
  }
  return order;
}

Generator::State Generator::state() const {
  State out{};
  std::copy(words_.begin(), words_.end(), out.begin());
  const auto kept = std::bit_cast<std::uint64_t>(kept_normal_.value_or(0.0));
  const std::uint32_t rest[] = {position_,
                                static_cast<std::uint32_t>(seed_),
                                static_cast<std::uint32_t>(seed_ >> 32),
                                kept_normal_.has_value(),
                                static_cast<std::uint32_t>(kept),
                                static_cast<std::uint32_t>(kept >> 32)};
  std::copy(std::begin(rest), std::end(rest), out.begin() + kWords);
  return out;
}

void Generator::set_state(std::span<const std::uint32_t> words) {
  if (words.size() != kStateWords)
    throw ValueError(cat("[Generator::set_state] needs ", kStateWords, " words; got ", words.size()));
  const auto rest = words.subspan(kWords);
  const double kept = std::bit_cast<double>(std::uint64_t{rest[5]} << 32 | rest[4]);
  if (rest[0] > kWords || rest[3] > 1 || !std::isfinite(kept))
    throw ValueError(cat("[Generator::set_state] not a generator state: position ", rest[0], " of ", kWords,
                         ", kept flag ", rest[3]));
  std::copy_n(words.begin(), kWords, words_.begin());
  position_ = rest[0];
  seed_ = std::uint64_t{rest[2]} << 32 | rest[1];
  kept_normal_ = rest[3] ? std::optional(kept) : std::nullopt;
}

Generator& default_generator() {
  static Generator generator;
  return generator;
}

void manual_seed(std::uint64_t seed) { default_generator().manual_seed(seed); }

}  // namespace coppice
