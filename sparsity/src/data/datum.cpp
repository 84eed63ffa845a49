#include "coppice/sparsity/data/datum.h"

#include "coppice/nn/layers/embedding.h"

namespace coppice::sparsity {

Datum::Datum(Tensor tensor) : tensor_(std::move(tensor)) {
  if (!tensor_.defined()) throw TypeError("[Datum] the tensor is undefined");
}

Datum::Datum(const nn::Module& embedding) {
  const std::string_view type = embedding.type_name();
  if (type != nn::Embedding::kType && type != nn::EmbeddingBag::kType)
    throw TypeError(cat("[Datum] tensors, Embedding and EmbeddingBag can be sparsified by name; got ", type));
  const Tensor* weight = embedding.own_parameters().find("weight");
  if (weight == nullptr || !weight->defined())
    throw StateError(
        cat("[Datum] the weight of ", type, " is computed, by a mask or parametrization; prune its original"));
  tensor_ = *weight;
}

const nn::Module& Datum::checked(const nn::Module* module) {
  if (module == nullptr) throw TypeError("[Datum] the module is null");
  return *module;
}

}  // namespace coppice::sparsity
