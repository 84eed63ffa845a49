#include "coppice/sparsity/sparsifier/nm.h"

#include <charconv>

#include "blocks/block_mask.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/parallel.h"
#include "kernels/tiles.h"
#include "sparsifier/group_importance.h"

namespace coppice::sparsity {
namespace {

constexpr std::int64_t kTilesPerTask = 256;  // 20 µs

BlockRule rule_of(const Pattern& pattern, TieRule ties) {
  return {.block = {1, pattern.m}, .zeros = pattern.m - pattern.n, .ties = ties, .by_argsort = true};
}

Pattern pattern_of(const Group& group) { return Pattern::parse(group.config.text("pattern")); }

double level_of(const Group& group) {
  return group.config.has("sparsity_level") ? read_sparsity_level(group.config) : 1;
}

Importance importance(const Group& group) {
  return importance_of(group, group.config.boolean("score_dense", false), Importance::Of::magnitude);
}

template <class Real>
void write_tiles(const Importance& scores, Tensor& mask) {
  using kernels::kTile;
  const std::int64_t cols = scores.cols();
  dispatch(mask.dtype(), [&]<class T>() {
    T* const out = mask.mutable_data<T>().data();
    parallel_for(scores.rows() / kTile, 1 + kTilesPerTask * kTile / cols, [&](Rows tiles) {
      std::vector<Real> rows(static_cast<std::size_t>(kTile * cols));
      for (std::int64_t down = tiles.begin; down < tiles.end; ++down) {
        for (std::int64_t r = 0; r < kTile; ++r)
          scores.read((kTile * down + r) * cols, std::span<Real>(rows).subspan(static_cast<std::size_t>(r * cols),
                                                                               static_cast<std::size_t>(cols)));
        for (std::int64_t left = 0; left < cols; left += kTile) {
          std::array<Real, kTile * kTile> tile;
          for (std::int64_t i = 0; i < kTile * kTile; ++i)
            tile[static_cast<std::size_t>(i)] = rows[static_cast<std::size_t>(i / kTile * cols + left + i % kTile)];
          const auto keep = kernels::keep_two_of_four(std::span<const Real, kTile * kTile>(tile));
          for (std::int64_t i = 0; i < kTile * kTile; ++i)
            out[(kTile * down + i / kTile) * cols + left + i % kTile] =
                keep[static_cast<std::size_t>(i)] != 0 ? convert<T>(1.0) : T{};
        }
      }
    });
  });
}

}  // namespace

Pattern Pattern::parse(std::string_view text) {
  Pattern out;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, out.n);
  const bool colon = first.ec == std::errc() && first.ptr != end && *first.ptr == ':';
  const auto second = std::from_chars(colon ? first.ptr + 1 : end, end, out.m);
  if (!colon || second.ec != std::errc() || second.ptr != end)
    throw ValueError(cat("[Pattern] a pattern is two numbers, as '2:4'; got ", quote(text)));
  out.check();
  return out;
}

void Pattern::check() const {
  if (m < 1 || n < 0 || n > m) throw ValueError(cat("[Pattern] needs 0 <= n <= m and m >= 1; got ", n, ":", m));
}

std::string to_string(const Pattern& pattern) { return cat(pattern.n, ":", pattern.m); }

Tensor mask_n_of_m(const Tensor& t, const Pattern& pattern, TieRule ties) {
  pattern.check();
  if (t.numel() % pattern.m != 0)
    throw ValueError(
        cat("[mask_n_of_m] ", pattern.m, " does not divide the ", t.numel(), " elements of shape ", t.shape()));
  Tensor mask = ones(t.shape(), t.dtype());
  if (t.numel() == 0) return mask;
  const Tensor runs = t.detach().reshape({t.numel() / pattern.m, pattern.m});
  write_block_mask(Importance(runs, Tensor(), Importance::Of::magnitude), rule_of(pattern, ties), mask);
  return mask;
}

Tensor mask_two_of_four_tiles(const Tensor& t, bool absolute) {
  if (t.dim() != 2 || t.size(0) % kernels::kTile != 0 || t.size(1) % kernels::kTile != 0)
    throw ShapeError(cat("[mask_two_of_four_tiles] needs a matrix of multiples of 4; got shape ", t.shape()));
  Tensor mask = ones(t.shape(), t.dtype());
  if (t.numel() == 0) return mask;
  const Importance scores(t.detach(), Tensor(), absolute ? Importance::Of::magnitude : Importance::Of::value);
  if (scores.in_double())
    write_tiles<double>(scores, mask);
  else
    write_tiles<float>(scores, mask);
  return mask;
}

NmSparsifier::NmSparsifier(const Pattern& pattern, TieRule ties)
    : BaseSparsifier({{"pattern", to_string(pattern)}}), ties_(ties) {
  pattern.check();
}

void NmSparsifier::check_config(const Group& group) const {
  (void)pattern_of(group);
  (void)level_of(group);
  (void)group.config.boolean("score_dense", false);
}

void NmSparsifier::check_tensor(const Group& group) const {
  const Pattern pattern = pattern_of(group);
  const Importance scores = importance(group);
  if (scores.cols() % pattern.m != 0)
    throw ShapeError(cat("[NmSparsifier] ", pattern, " does not divide rows of ", scores.cols(), " entries"));
}

void NmSparsifier::update_mask(Group& group) {
  const double level = level_of(group);
  if (level <= 0) {
    group.mask().fill_(1);
    return;
  }
  const Importance scores = importance(group);
  BlockRule rule = rule_of(pattern_of(group), ties_);
  rule.count = count_at_level(level, count_blocks(scores.rows(), scores.cols(), rule.block));
  write_block_mask(scores, rule, group.mask());
}

}  // namespace coppice::sparsity
