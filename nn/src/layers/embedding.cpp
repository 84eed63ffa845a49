#include "coppice/nn/layers/embedding.h"

#include <array>

#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/init.h"

namespace coppice::nn {
namespace {

constexpr std::array<std::string_view, 3> kModes{"sum", "mean", "max"};

Tensor table(std::string_view type, std::int64_t n, std::int64_t d, std::optional<std::int64_t>& padding_idx) {
  if (n < 0 || d < 0) throw ValueError(cat("[", type, "] sizes must be at least 0; got ", n, " and ", d));
  if (padding_idx && (*padding_idx < -n || *padding_idx >= n))
    throw ValueError(cat("[", type, "] padding_idx must be in ", -n, "..", n - 1, "; got ", *padding_idx));
  if (padding_idx && *padding_idx < 0) *padding_idx += n;
  if (SkipInit::active()) return Tensor::empty({n, d});
  Tensor weight = randn({n, d});
  if (padding_idx) narrow(weight, 0, *padding_idx, 1).fill_(0);
  return weight;
}

std::optional<std::int64_t> padding_of(const Arguments& a) {
  return a.has("padding_idx") ? std::optional(a.integer("padding_idx")) : std::nullopt;
}

BagMode mode_from(const std::string& word) {
  for (std::size_t i = 0; i < kModes.size(); ++i)
    if (kModes[i] == word) return static_cast<BagMode>(i);
  throw ValueError(cat("[EmbeddingBag] mode must be 'sum', 'mean' or 'max'; got ", quote(word)));
}

Arguments sizes_of(const Tensor& weight, std::optional<std::int64_t> padding_idx) {
  Arguments a{{"num_embeddings", weight.size(0)}, {"embedding_dim", weight.size(1)}};
  if (padding_idx) a.set("padding_idx", *padding_idx);
  return a;
}

}  // namespace

Embedding::Embedding(std::int64_t n, std::int64_t d, std::optional<std::int64_t> padding_idx)
    : padding_idx_(padding_idx) {
  register_parameter("weight", table(kType, n, d, padding_idx_));
}

Embedding::Embedding(const Arguments& a)
    : Embedding(a.integer("num_embeddings"), a.integer("embedding_dim"), padding_of(a)) {}

Arguments Embedding::arguments() const { return sizes_of(tensor("weight"), padding_idx_); }

Tensor Embedding::forward(const Tensor& index) const { return embedding(tensor("weight"), index, padding_idx_); }

EmbeddingBag::EmbeddingBag(std::int64_t n, std::int64_t d, BagMode mode, std::optional<std::int64_t> padding_idx)
    : mode_(mode), padding_idx_(padding_idx) {
  register_parameter("weight", table(kType, n, d, padding_idx_));
}

EmbeddingBag::EmbeddingBag(const Arguments& a)
    : EmbeddingBag(a.integer("num_embeddings"), a.integer("embedding_dim"), mode_from(a.text("mode", "mean")),
                   padding_of(a)) {}

Arguments EmbeddingBag::arguments() const {
  Arguments a = sizes_of(tensor("weight"), padding_idx_);
  a.set("mode", std::string(kModes[static_cast<std::size_t>(mode_)]));
  return a;
}

TensorList EmbeddingBag::forward(const TensorList& inputs) const {
  if (inputs.size() == 2) return {embedding_bag(tensor("weight"), inputs[0], inputs[1], mode_, padding_idx_)};
  if (inputs.size() != 1 || inputs[0].dim() != 2)
    throw ValueError(
        cat("[EmbeddingBag] takes index and offsets, or index [bags, size]; got ", inputs.size(), " tensors"));
  const std::int64_t bags = inputs[0].size(0);
  const std::int64_t size = inputs[0].size(1);
  std::vector<std::int64_t> offsets;
  for (std::int64_t i = 0; i < bags; ++i) offsets.push_back(i * size);
  return {embedding_bag(tensor("weight"), flatten(inputs[0]), Tensor::from(offsets, Shape{bags}), mode_, padding_idx_)};
}

}  // namespace coppice::nn
