// A selection in one reading of a stream: the masks are written before the cut is known.
#include <atomic>
#include <memory>
#include <optional>

#include "coppice/engine/parallel.h"
#include "select/sample.h"

namespace coppice::selection {

std::optional<Cut> select_at_once(ScoreStream& stream, std::int64_t k, Ranking ranking) {
  using Key = std::uint32_t;
  const Scores one = scores_of(stream);
  const Sequence seq({&one, 1}, ranking);
  check_count(k, seq.total);
  if (k == 0 || seq.total < kSample || seq.range > INT64_C(0xffffffff)) return std::nullopt;
  const Bracket<Key> ends(sample_of<Key>(seq), static_cast<double>(k) / static_cast<double>(seq.total),
                          no_key<Key>(ranking), 3);
  if (ends.count_low || ends.count_high) return std::nullopt;
  const Key low = ends.low, width = ends.high - ends.low;
  const std::int64_t room = seq.range / kCollect + 2 * kKeyBlock;  // for each range
  const auto size = static_cast<std::size_t>(room * seq.ranges());
  const auto keys = std::make_unique_for_overwrite<Key[]>(size), all = std::make_unique_for_overwrite<Key[]>(size);
  std::vector<Found> found(static_cast<std::size_t>(seq.ranges()));
  std::atomic<bool> full = false;
  parallel_for(seq.ranges(), 1, [&](Rows rows) {
    const kernels::SelectKernels& steps = kernels::in_use().select;
    for (auto r = rows.begin; r < rows.end && !full; ++r) {
      Found f;
      seq.blocks<Key>(r, [&](const Key* block, std::int64_t n, std::size_t, std::int64_t first) {
        if (full || f.inside + n > room) return full.store(true);
        Key* const to = keys.get() + r * room + f.inside;
        std::array<std::uint8_t, kKeyBlock> keep;
        f.inside += steps.split(block, n, low, width, static_cast<Key>(first - r * seq.range), to,
                                all.get() + (to - keys.get()), keep.data(), &f.below);
        stream.write(first, n, keep.data());
      });
      found[static_cast<std::size_t>(r)] = f;
    }
  });
  if (full) return std::nullopt;
  // The keys stay as they are, beside their places: of one bin of a histogram between the ends they are copied.
  const auto each = [&](auto f) {
    for (std::size_t r = 0; r < found.size(); ++r)
      for (std::int64_t i = 0; i < found[r].inside; ++i) f(r, static_cast<std::int64_t>(r) * room + i);
  };
  const int shift = std::max(0, static_cast<int>(std::bit_width(width)) - kBinBits);
  Bins bins{};
  std::int64_t wanted = k, members = 0;
  for (const Found& f : found) wanted -= f.below, members += f.inside;
  if (wanted < 1 || wanted > members) return std::nullopt;
  each([&](std::size_t, std::int64_t i) { ++bins[(keys[i] - low) >> shift]; });
  std::size_t bin = 0;
  for (; bins[bin] < wanted; ++bin) wanted -= bins[bin];
  std::vector<Key> near;
  each([&](std::size_t, std::int64_t i) {
    if ((keys[i] - low) >> shift == bin) near.push_back(keys[i]);
  });
  const Cut cut = cut_of<Key>(ranking, near, wanted);
  std::int64_t quota = cut.take;
  each([&](std::size_t r, std::int64_t i) {
    if (keys[i] < cut.key || (keys[i] == cut.key && quota-- > 0))
      stream.prune(static_cast<std::int64_t>(r) * seq.range + all[i]);
  });
  return cut;
}

}  // namespace coppice::selection
