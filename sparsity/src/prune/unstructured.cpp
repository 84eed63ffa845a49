#include "coppice/sparsity/prune/unstructured.h"

#include "coppice/engine/create.h"
#include "coppice/engine/random.h"
#include "coppice/sparsity/mask_ops.h"
#include "settings.h"

namespace coppice::sparsity::prune {
namespace {

void check_shapes(const Method& method, const Tensor& scores, const Tensor& mask) {
  if (scores.shape() != mask.shape())
    throw ShapeError(cat("[", method.type_name(), "] scores ", scores.shape(), " and mask ", mask.shape()));
}

/// A copy of `mask` with zeros where `selected` has them. No product: what a mask holds may be infinite.
Tensor zeroed(const Tensor& mask, const Tensor& selected) {
  Tensor out = mask.clone();
  dispatch(selected.dtype(), [&]<class S>() {
    const auto from = selected.data<S>();
    dispatch(out.dtype(), [&]<class T>() {
      const auto to = out.mutable_data<T>();
      for (std::size_t i = 0; i < to.size(); ++i)
        if (convert<double>(from[i]) == 0) to[i] = T{};
    });
  });
  return out;
}

/// As PyTorch 2 draws half types: float32 draws rounded, where 1 becomes 0. (Generator::uniform is PyTorch 1.13's rule.)
Tensor half_draws(const Shape& shape, Dtype type, Generator& generator) {
  Tensor draws = rand(shape, Dtype::f32, &generator).to(type);
  dispatch(type, [&]<class T>() {
    for (T& u : draws.mutable_data<T>())
      if (convert<float>(u) == 1) u = T{};
  });
  return draws;
}

}  // namespace

Tensor Identity::compute_mask(const Tensor&, const Tensor& default_mask) const { return default_mask; }

nn::Arguments RandomUnstructured::arguments() const { return settings(amount_, ties_); }

Tensor RandomUnstructured::compute_mask(const Tensor& scores, const Tensor& default_mask) const {
  check_shapes(*this, scores, default_mask);
  const std::int64_t count = amount_.of(scores.numel());
  if (count == 0) return default_mask.clone();
  Generator& generator = generator_ ? *generator_ : default_generator();
  const Dtype type = is_floating(scores.dtype()) ? scores.dtype() : Dtype::f32;
  const Tensor draws = type == Dtype::f16 || type == Dtype::bf16 ? half_draws(scores.shape(), type, generator)
                                                                 : rand(scores.shape(), type, &generator);
  const MaskRequest request{.count = count, .magnitude = false, .largest = true, .ties = ties_};
  return zeroed(default_mask, select_masks({draws}, request)[0]);
}

nn::Arguments L1Unstructured::arguments() const { return settings(amount_, ties_); }

Tensor L1Unstructured::compute_mask(const Tensor& scores, const Tensor& default_mask) const {
  check_shapes(*this, scores, default_mask);
  const std::int64_t count = amount_.of(scores.numel());
  if (count == 0) return default_mask.clone();
  return zeroed(default_mask, mask_smallest(scores, count, ties_));
}

}  // namespace coppice::sparsity::prune
