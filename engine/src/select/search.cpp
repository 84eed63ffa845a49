// Finding the cut: by a sample that brackets it, or by histograms of the keys' bits.
#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>

#include "coppice/engine/parallel.h"
#include "select/sample.h"

namespace coppice::selection {
namespace {

/// Histograms of the ranges: the first one, over the leading bits of all keys.
template <class Key, int kShift>
std::vector<Bins> leading_histograms(const Sequence& seq) {
  std::vector<Bins> out(static_cast<std::size_t>(seq.ranges()));
  parallel_for(seq.ranges(), 1, [&](Rows rows) {
    const auto spare = std::make_unique<std::array<Bins, 3>>();  // neighbours are often equal: with one table each
    for (auto r = rows.begin; r < rows.end; ++r) {               // would wait for the store of the one before
      Bins& sum = out[static_cast<std::size_t>(r)];
      std::uint32_t* const tables[] = {sum.data(), (*spare)[0].data(), (*spare)[1].data(), (*spare)[2].data()};
      for (Bins& t : *spare) t.fill(0);
      seq.blocks<Key>(r, [&](const Key* keys, std::int64_t n, std::size_t, std::int64_t) {
        std::int64_t i = 0;
        for (; i + 4 <= n; i += 4)
          for (int t = 0; t < 4; ++t) ++tables[t][keys[i + t] >> kShift];
        for (; i < n; ++i) ++tables[0][keys[i] >> kShift];
      });
      for (const Bins& t : *spare)
        for (std::size_t b = 0; b < kBins; ++b) sum[b] += t[b];
    }
  });
  return out;
}

/// The following ones: over the `bits` bits from `shift` on, of those keys that begin with `prefix`.
template <class Key>
std::vector<Bins> further_histograms(const Sequence& seq, int shift, int bits, Key prefix) {
  std::vector<Bins> out(static_cast<std::size_t>(seq.ranges()));
  const Key mask = (Key{1} << bits) - 1;
  parallel_for(seq.ranges(), 1, [&](Rows rows) {
    for (auto r = rows.begin; r < rows.end; ++r) {
      Bins& bins = out[static_cast<std::size_t>(r)];
      seq.blocks<Key>(r, [&](const Key* keys, std::int64_t n, std::size_t, std::int64_t) {
        for (std::int64_t i = 0; i < n; ++i)
          if (keys[i] >> shift >> bits == prefix) ++bins[static_cast<std::size_t>((keys[i] >> shift) & mask)];
      });
    }
  });
  return out;
}

template <class Key>
std::vector<Bins> histograms(const Sequence& seq, int shift, int bits, Key prefix) {
  constexpr int top = std::numeric_limits<Key>::digits - kBinBits;
  if (shift == top) return leading_histograms<Key, top>(seq);
  if (shift == top - 1 && seq.ranking.magnitude) return leading_histograms<Key, top - 1>(seq);
  return further_histograms<Key>(seq, shift, bits, prefix);
}

/// All keys that begin with `prefix`; `counts` says how many each range has.
template <class Key>
std::vector<Key> collect(const Sequence& seq, int shift, Key prefix, const std::vector<std::int64_t>& offsets) {
  std::vector<Key> out(static_cast<std::size_t>(offsets.back()));
  parallel_for(seq.ranges(), 1, [&](Rows rows) {
    for (auto r = rows.begin; r < rows.end; ++r) {
      Key* next = out.data() + offsets[static_cast<std::size_t>(r)];
      Key* const end = out.data() + offsets[static_cast<std::size_t>(r) + 1];
      seq.blocks<Key>(r, [&](const Key* keys, std::int64_t n, std::size_t, std::int64_t) {
        for (std::int64_t i = 0; i < n && next != end;) {
          constexpr std::int64_t few = 16;
          if (i + few <= n) {  // most groups have no member: look at all of them at once
            bool any = false;
            for (std::int64_t j = i; j < i + few; ++j) any |= keys[j] >> shift == prefix;
            if (!any) {
              i += few;
              continue;
            }
          }
          for (const std::int64_t stop = std::min(i + few, n); i < stop; ++i)
            if (keys[i] >> shift == prefix) *next++ = keys[i];
        }
      });
    }
  });
  return out;
}

/// Copies the keys in low .. low + width to `out`, and counts those below.
template <class Key>
std::int64_t bracket(const Key* keys, std::int64_t n, Key low, Key width, Key* out, std::int64_t& below) {
  if constexpr (sizeof(Key) == 4) return kernels::in_use().select.bracket(keys, n, low, width, out, &below);
  std::int64_t inside = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    below += keys[i] < low;
    out[inside] = keys[i];
    inside += keys[i] - low <= width;
  }
  return inside;
}

/// A random sample brackets the cut so narrowly that one pass can count what is below and copy what is inside.
/// Nothing when the bracket missed, or caught too much. About twice as fast as a histogram (bench/prune_bench).
template <class Key>
std::optional<Cut> find_by_sample(const Sequence& seq, std::int64_t k, std::int64_t eligible) {
  std::vector<Key> sample = sample_of<Key>(seq);
  if (seq.stream() == nullptr && sample.size() < static_cast<std::size_t>(kSample / 16)) return std::nullopt;
  const Bracket<Key> ends(std::move(sample), static_cast<double>(k) / static_cast<double>(eligible),
                          no_key<Key>(seq.ranking), seq.stream() ? 3 : 4);
  const Key first = ends.first(), width = ends.width();

  const std::int64_t room = seq.range / kCollect + 2 * kKeyBlock;  // for each range
  const auto keys = std::make_unique_for_overwrite<Key[]>(static_cast<std::size_t>(room * seq.ranges()));
  std::vector<Found> found(static_cast<std::size_t>(seq.ranges()));
  parallel_for(seq.ranges(), 1, [&](Rows rows) {
    for (auto r = rows.begin; r < rows.end; ++r) {
      Found f;
      Key* const out = keys.get() + r * room;
      const auto take = [&](auto&& copy, std::int64_t n) {
        if (f.inside + n > room)
          f.inside = room + 1;  // too many: given up below
        else
          f.inside += copy(out + f.inside);
      };
      seq.blocks<Key>(
          r, [&](std::size_t) { return !ends.count_low && !ends.count_high; },
          [&](const Key* block, std::int64_t n, std::size_t, std::int64_t) {
            if (ends.count_low) f.low += count_equal(block, n, ends.low);
            if (ends.count_high) f.high += count_equal(block, n, ends.high);
            take([&](Key* to) { return bracket(block, n, first, width, to, f.below); }, n);
          },
          [&](const float* block, std::int64_t n, std::size_t, std::int64_t) {
            if constexpr (sizeof(Key) == 4)
              take([&](Key* to) { return kernels::in_use().select.bracket_f32(block, n, first, width, to, &f.below); },
                   n);
          });
      f.below -= f.low;
      found[static_cast<std::size_t>(r)] = f;
    }
  });
  Found sum;
  for (std::size_t r = 0; r < found.size(); ++r) {
    if (found[r].inside > room) return std::nullopt;
    std::copy_n(keys.get() + static_cast<std::int64_t>(r) * room, found[r].inside, keys.get() + sum.inside);
    sum.below += found[r].below;
    sum.low += found[r].low;
    sum.inside += found[r].inside;
    sum.high += found[r].high;
  }
  std::int64_t wanted = k - sum.below;
  if (wanted < 1) return std::nullopt;
  if (wanted <= sum.low) return Cut{.key = ends.low, .take = wanted, .equal = sum.low, .ranking = seq.ranking};
  wanted -= sum.low;
  if (wanted <= sum.inside) return cut_of<Key>(seq.ranking, {keys.get(), static_cast<std::size_t>(sum.inside)}, wanted);
  wanted -= sum.inside;
  if (wanted <= sum.high) return Cut{.key = ends.high, .take = wanted, .equal = sum.high, .ranking = seq.ranking};
  return std::nullopt;
}

template <class Key>
Cut find_by_histogram(const Sequence& seq, std::int64_t k) {
  std::int64_t wanted = k;  // rank of the cut among the keys with the present prefix, counted from 1
  Key prefix = 0;
  for (int shift = key_bits<Key>(seq.ranking);;) {
    const int bits = std::min(shift, kBinBits);
    shift -= bits;
    const std::vector<Bins> tables = histograms<Key>(seq, shift, bits, prefix);
    std::size_t bin = 0;
    std::int64_t members = 0;
    for (;; ++bin) {
      members = 0;
      for (const Bins& t : tables) members += t[bin];
      if (members >= wanted) break;
      wanted -= members;
    }
    prefix = static_cast<Key>(prefix << bits | bin);
    if (shift == 0) return {.key = prefix, .take = wanted, .equal = members, .ranking = seq.ranking};
    if (members > std::max<std::int64_t>(kKeyBlock, seq.total / kCollect)) continue;
    std::vector<std::int64_t> offsets{0};
    for (const Bins& t : tables) offsets.push_back(offsets.back() + t[bin]);
    std::vector<Key> keys = collect<Key>(seq, shift, prefix, offsets);
    return cut_of<Key>(seq.ranking, keys, wanted);
  }
}

template <class Key>
std::int64_t count_eligible(const Sequence& seq) {
  if (std::none_of(seq.scores.begin(), seq.scores.end(), [](const Scores& s) { return s.eligible; })) return seq.total;
  const Key none = no_key<Key>(seq.ranking);
  std::vector<std::int64_t> part(static_cast<std::size_t>(seq.ranges()));
  parallel_for(seq.ranges(), 1, [&](Rows rows) {
    for (auto r = rows.begin; r < rows.end; ++r)
      seq.blocks<Key>(r, [&](const Key* keys, std::int64_t n, std::size_t, std::int64_t) {
        std::uint32_t count = 0;
        for (std::int64_t i = 0; i < n; ++i) count += keys[i] != none;
        part[static_cast<std::size_t>(r)] += count;
      });
  });
  return std::accumulate(part.begin(), part.end(), std::int64_t{0});
}

template <class Key>
Cut find(const Sequence& seq, std::int64_t k) {
  const std::int64_t eligible = count_eligible<Key>(seq);
  check_count(k, eligible);
  if (k == 0) return {.ranking = seq.ranking};
  if (seq.total >= (seq.stream() ? kSample : kMinRange))
    if (const auto cut = find_by_sample<Key>(seq, k, eligible)) return *cut;
  return find_by_histogram<Key>(seq, k);
}

}  // namespace

Cut find_cut(std::span<const Scores> scores, std::int64_t k, Ranking ranking) {
  const Sequence seq(scores, ranking);
  return seq.kind == KeyKind::float32 ? find<std::uint32_t>(seq, k) : find<std::uint64_t>(seq, k);
}

}  // namespace coppice::selection
