#include "left.h"

#include <algorithm>
#include <array>

#include "coppice/engine/ops/select.h"
#include "coppice/engine/parallel.h"

namespace coppice::sparsity::prune {
namespace {

constexpr std::int64_t kGrain = 1 << 16;

/// How many entries are 1; nothing if some are neither 0 nor 1.
std::optional<std::int64_t> count_left(const Tensor& mask) {
  const std::int64_t n = mask.numel();
  std::vector<std::array<std::int64_t, 2>> parts(static_cast<std::size_t>((n + kGrain - 1) / kGrain));
  dispatch(mask.dtype(), [&]<class T>() {
    using Wide = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;
    const T* const from = mask.data<T>().data();
    parallel_for(static_cast<std::int64_t>(parts.size()), 1, [&](Rows rows) {
      for (std::int64_t r = rows.begin; r < rows.end; ++r) {
        std::int32_t ones = 0, zeros = 0;
        const T* const end = from + std::min(n, (r + 1) * kGrain);
        for (const T* p = from + r * kGrain; p != end; ++p) {
          const auto value = static_cast<Wide>(*p);
          ones += value == Wide{1};
          zeros += value == Wide{0};
        }
        parts[static_cast<std::size_t>(r)] = {ones, zeros};
      }
    });
  });
  std::int64_t ones = 0, zeros = 0;
  for (const auto& [one, zero] : parts) ones += one, zeros += zero;
  return ones + zeros == n ? std::optional(ones) : std::nullopt;
}

}  // namespace

std::optional<TensorList> prune_left(const L1Unstructured& method, std::span<const Ranked> all) {
  std::int64_t left = 0;
  std::optional<Dtype> joint;
  for (const Ranked& r : all) {
    const auto count = r.mask.defined() ? count_left(r.mask) : std::optional(r.scores.numel());
    if (!count) return std::nullopt;
    left += *count;
    joint = joint ? promote(*joint, r.scores.dtype()) : r.scores.dtype();
  }
  const MaskRequest request{.count = method.amount().of(left), .ties = method.ties()};
  TensorList scores, eligible, masks;
  for (const Ranked& r : all) {
    // Floats of several types compare exactly, and so do integers; an integer among floats is rounded first.
    const bool convert = joint && is_floating(*joint) && !is_floating(r.scores.dtype());
    scores.push_back((convert ? r.scores.to(*joint) : r.scores).reshape({-1}));
    eligible.push_back(r.mask.defined() ? r.mask.reshape({-1}) : Tensor());
  }
  for (const Ranked& r : all) masks.push_back(Tensor::empty(r.shape, r.dtype));
  select_masks_(masks, scores, request, eligible);
  return masks;
}

}  // namespace coppice::sparsity::prune
