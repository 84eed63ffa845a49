#include "coppice/engine/score_stream.h"

#include <array>

#include "coppice/engine/parallel.h"
#include "select/keys.h"

namespace coppice {
namespace {

StreamCut public_cut(const ScoreStream& scores, const selection::Cut& cut, bool any) {
  StreamCut out{.take = cut.take,
                .equal = cut.equal,
                .key = static_cast<std::uint32_t>(cut.key),
                .magnitude = cut.ranking.magnitude};
  const selection::Scores one = selection::scores_of(scores);
  if (any) out.value = static_cast<float>(selection::value_of(cut, {&one, 1}));
  return out;
}

}  // namespace

void ScoreStream::prune(std::int64_t index) {
  const std::uint8_t goes = 0;
  write(index, 1, &goes);
}

StreamCut find_cut(const ScoreStream& scores, std::int64_t count, bool magnitude) {
  const selection::Scores one = selection::scores_of(scores);
  return public_cut(scores, selection::find_cut({&one, 1}, count, {.magnitude = magnitude}), count > 0);
}

StreamCut select_once(ScoreStream& scores, std::int64_t count, bool magnitude) {
  if (const auto cut = selection::select_at_once(scores, count, {.magnitude = magnitude}))
    return public_cut(scores, *cut, true);
  const StreamCut cut = find_cut(scores, count, magnitude);
  write_cut(scores, cut);
  return cut;
}

void write_cut(ScoreStream& scores, const StreamCut& cut) {
  using Key = std::uint32_t;
  const selection::Scores one = selection::scores_of(scores);
  const selection::Sequence seq({&one, 1}, {.magnitude = cut.magnitude});
  const bool with_equal = cut.take == cut.equal && cut.take > 0;
  const Key first_kept = with_equal ? cut.key + 1 : cut.key;
  std::vector<std::int64_t> before;  // equal ones, where only some of them go
  if (cut.take > 0 && !with_equal) before = selection::count_before<Key>(seq, cut.key);
  parallel_for(seq.ranges(), 1, [&](Rows rows) {
    for (auto r = rows.begin; r < rows.end; ++r) {
      std::int64_t quota = before.empty() ? 0 : cut.take - before[static_cast<std::size_t>(r)];
      seq.blocks<Key>(r, [&](const Key* keys, std::int64_t n, std::size_t, std::int64_t first) {
        std::array<std::uint8_t, selection::kKeyBlock> keep;
        kernels::in_use().select.keep_bytes(keys, n, first_kept, keep.data());
        for (std::int64_t i = 0; quota > 0 && i < n; ++i)
          if (keys[i] == cut.key) {
            keep[static_cast<std::size_t>(i)] = 0;
            --quota;
          }
        scores.write(first, n, keep.data());
      });
    }
  });
}

}  // namespace coppice
