#pragma once
/// Random numbers: the same stream as PyTorch's CPU generator, number by number.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "coppice/engine/dtype.h"

namespace coppice {

/// MT19937 with PyTorch's rules for turning its 32-bit draws into numbers of each type.
///
/// Every method draws in element order, so the stream does not depend on the number of threads. Not safe to share
/// between threads. Uniform, integer and Bernoulli numbers, permutations and normal numbers of fewer than 16
/// elements equal PyTorch's bit for bit; larger normal fills agree to 1e-6, since PyTorch's logarithm and sine are
/// vectorised approximations.
/// Source: ATen/CPUGeneratorImpl.cpp, ATen/core/DistributionsHelper.h, ATen/native/cpu/DistributionTemplates.h
class Generator {
 public:
  static constexpr std::uint64_t kDefaultSeed = 67280421310721;

  explicit Generator(std::uint64_t seed = kDefaultSeed) { manual_seed(seed); }

  /// Restarts the stream; as in PyTorch the low 32 bits of the seed count. Forgets a kept normal number.
  void manual_seed(std::uint64_t seed);
  /// What manual_seed() received last.
  [[nodiscard]] std::uint64_t initial_seed() const { return seed_; }

  /// The next 32 bits of the stream.
  std::uint32_t next32();
  /// Two draws; the first one is the high word.
  std::uint64_t next64();

  /// Uniform in [low, high): torch's `uniform_`. One draw per element, two for double. Half types are float32 numbers
  /// rounded, as from PyTorch 2 on (1.13 used as many bits as they have); where that gives `high` it becomes `low`.
  /// @throws ValueError  unless low <= high, both finite and representable in T
  void uniform(std::span<float> out, double low = 0, double high = 1);
  void uniform(std::span<double> out, double low = 0, double high = 1);
  void uniform(std::span<Half> out, double low = 0, double high = 1);
  void uniform(std::span<BFloat16> out, double low = 0, double high = 1);

  /// Normal with the given mean and standard deviation: torch's `normal_`. From 16 elements on in blocks of 16;
  /// below that pairwise, where the second number of an open pair is kept for the next small request. Half types are
  /// float32 numbers rounded, as from PyTorch 2 on.
  /// @throws ValueError  if `deviation` is negative or NaN
  void normal(std::span<float> out, double mean = 0, double deviation = 1);
  void normal(std::span<double> out, double mean = 0, double deviation = 1);
  void normal(std::span<Half> out, double mean = 0, double deviation = 1);
  void normal(std::span<BFloat16> out, double mean = 0, double deviation = 1);

  /// Integers in [low, high): torch's `randint`. One draw per element, two when high - low >= 2^32.
  /// @throws ValueError  unless low < high
  void integers(std::span<std::int64_t> out, std::int64_t low, std::int64_t high);

  /// 1 with probability `p`, else 0: torch's `bernoulli_(p)`, as used by its dropout (builds without MKL; those
  /// with MKL take another stream). Two draws per element.
  /// @throws ValueError  unless 0 <= p <= 1
  void bernoulli(std::span<float> out, double p);
  void bernoulli(std::span<double> out, double p);

  /// The numbers 0 .. n-1 in random order: torch's `randperm`.
  /// @throws ValueError  if n is negative
  [[nodiscard]] std::vector<std::int64_t> permutation(std::int64_t n);

  /// The whole state as plain words, for checkpoints: restoring it continues the stream exactly.
  static constexpr std::size_t kStateWords = 624 + 6;
  using State = std::array<std::uint32_t, kStateWords>;
  [[nodiscard]] State state() const;
  /// @throws ValueError  if the words are not what state() can return; nothing has changed then
  void set_state(std::span<const std::uint32_t> words);

 private:
  void refill();
  double next_normal();
  template <class T>
  void fill_uniform(std::span<T> out, double low, double high);
  template <class T>
  void fill_normal(std::span<T> out, double mean, double deviation);

  std::array<std::uint32_t, 624> words_{};
  std::uint32_t position_ = 0;  // of the next unused word; 624: all used
  std::uint64_t seed_ = 0;
  std::optional<double> kept_normal_;
};

/// The generator that layers, dropout and pruning use unless they are given another one. One per process.
[[nodiscard]] Generator& default_generator();

/// Reseeds the default generator: torch.manual_seed.
void manual_seed(std::uint64_t seed);

}  // namespace coppice
