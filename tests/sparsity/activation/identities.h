#pragma once
/// Models that pass everything on, inputs to follow by hand, and short ways to masks.

#include "coppice/nn.h"
#include "coppice/sparsity/activation/activation_sparsifier.h"

namespace coppice::test {

using namespace coppice::sparsity;
using Mask = ActivationSparsifier::Mask;
using Features = std::vector<std::int64_t>;
using Names = std::vector<std::string>;

inline const ActivationOptions kOptions{.aggregate_fn = AggregateFunction("coppice.sum"),
                                        .reduce_fn = ReduceFunction("coppice.mean_dim0"),
                                        .mask_fn = MaskFunction("coppice.magnitude"),
                                        .sparse_config = {{"sparsity_level", 0.5}}};
inline const Tensor kX1 = Tensor::of({{1, -2, 3, -4}, {5, 6, -7, 8}}), kX2 = Tensor::of({{0, 2, 1, 4}, {-5, 1, 7, 1}});

inline ActivationOptions features(Features list, std::int64_t dim = 1, double level = 0.5) {
  return {.features = std::move(list), .feature_dim = dim, .sparse_config = {{"sparsity_level", level}}};
}

inline Tensor one(const Mask& mask) { return std::get<Tensor>(mask); }
inline TensorList many(const Mask& mask) { return std::get<TensorList>(mask); }

inline std::shared_ptr<nn::Sequential> identities(int count) {
  auto out = std::make_shared<nn::Sequential>();
  for (int i = 0; i < count; ++i) out->append(std::make_shared<nn::Identity>());
  return out;
}

}  // namespace coppice::test
