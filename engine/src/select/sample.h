#pragma once
/// Where the cut of a selection is, from a sample of the keys; and the cut among few keys.

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include "select/keys.h"

namespace coppice::selection {

inline constexpr int kBinBits = 12;  // 8 bits of exponent, 4 of mantissa
inline constexpr std::size_t kBins = std::size_t{1} << kBinBits;
inline constexpr std::int64_t kCollect = 25;  // a bin of at most 1/25 of the scores is copied and searched

inline constexpr std::size_t kFew = 4096;  // keys that std::nth_element may have

using Bins = std::array<std::uint32_t, kBins>;

/// Rank of the cut among the keys in hand, and the hand: finishes a search.
template <class Key>
Cut cut_of(Ranking ranking, std::span<Key> keys, std::int64_t wanted) {
  // Many keys: a histogram between their ends leaves those of one bin.
  while (keys.size() > kFew) {
    Key low = keys[0], high = keys[0];
    for (const Key key : keys) low = std::min(low, key), high = std::max(high, key);
    const int shift = std::max(0, static_cast<int>(std::bit_width(static_cast<Key>(high - low))) - kBinBits);
    Bins bins{};
    for (const Key key : keys) ++bins[static_cast<std::size_t>((key - low) >> shift)];
    std::size_t bin = 0;
    for (; bins[bin] < wanted; ++bin) wanted -= bins[bin];
    if (shift == 0) return {.key = low + bin, .take = wanted, .equal = bins[bin], .ranking = ranking};
    std::size_t kept = 0;
    for (const Key key : keys) {
      keys[kept] = key;
      kept += static_cast<std::size_t>((key - low) >> shift) == bin;
    }
    keys = keys.first(kept);
  }
  std::nth_element(keys.begin(), keys.begin() + (wanted - 1), keys.end());
  Cut cut{.key = keys[static_cast<std::size_t>(wanted - 1)], .take = wanted, .ranking = ranking};
  for (const Key other : keys) {
    if (other < cut.key) --cut.take;
    cut.equal += other == cut.key;
  }
  return cut;
}

inline constexpr std::int64_t kSample = 1 << 16;
inline constexpr std::int64_t kAhead = 64;  // samples whose memory is fetched at the same time
inline constexpr std::int64_t kRun = 8;  // samples of a stream that stand side by side: a call costs more than a score

/// Keys of elements that take part, at random places that are always the same: time does not vary, and the result
/// never depends on them.
template <class Key>
std::vector<Key> sample_of(const Sequence& seq) {
  std::vector<Key> out;
  std::uint64_t state = 1;
  const auto draw = [&](std::int64_t places) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::int64_t>((state >> 33) * static_cast<std::uint64_t>(places) >> 31);
  };
  if (seq.stream() != nullptr) {
    out.resize(static_cast<std::size_t>(std::min(kSample / 2, seq.total / 32) / kAhead * kAhead));
    for (std::size_t i = 0; i < out.size();) {
      std::array<std::int64_t, kAhead / kRun> runs;  // begin at multiples: each is in one line of the cache
      for (std::int64_t& at : runs) seq.stream()->prefetch(at = draw(seq.total / kRun) * kRun, kRun);
      for (const std::int64_t at : runs) {
        load_keys<Key>(seq.scores[0], at, kRun, seq.ranking, seq.kind, &out[i]);
        i += kRun;
      }
    }
    return out;
  }
  const Key none = no_key<Key>(seq.ranking);
  out.reserve(kSample);
  for (std::int64_t i = 0; i < kSample; i += kAhead) {
    std::array<std::int64_t, kAhead> places;
    for (std::int64_t& at : places) seq.prefetch(at = draw(seq.total));
    for (const std::int64_t at : places)
      if (const Key key = seq.key<Key>(at); key != none) out.push_back(key);
  }
  return out;
}

/// Two keys with the cut between them, if the sample is as good as it should be. Keys that many scores have at the ends
/// are counted instead of being copied: after pruning, that is 0.
template <class Key>
struct Bracket {
  Key low = 0, high = 0;
  bool count_low = false, count_high = false;

  /// @param deviations  of the sample that the cut may be off: streams have less memory for what is inside
  Bracket(std::vector<Key> sample, double share, Key none, double deviations) {
    const auto size = static_cast<double>(sample.size());
    const double middle = share * size, spread = deviations * std::sqrt(size * share * (1 - share)) + 8;
    const auto nth = [&](double rank) {
      const auto at = sample.begin() + static_cast<std::ptrdiff_t>(rank);
      std::nth_element(sample.begin(), at, sample.end());
      return *at;
    };
    const auto many = [&](Key key) { return static_cast<double>(std::ranges::count(sample, key)) > spread; };
    low = middle - spread < 0 ? Key{0} : nth(middle - spread);
    high = middle + spread >= size ? static_cast<Key>(none - 1) : nth(middle + spread);
    count_low = many(low);
    count_high = high > low && many(high);
  }
  /// Keys first .. first + width are copied.
  [[nodiscard]] Key first() const { return low + (count_low ? 1 : 0); }
  [[nodiscard]] Key width() const {
    const Key last = high - (count_high ? 1 : 0);
    return last > first() ? last - first() : 0;
  }
};

/// What a range has of a bracket.
struct Found {
  std::int64_t below = 0, low = 0, inside = 0, high = 0;
};

}  // namespace coppice::selection
