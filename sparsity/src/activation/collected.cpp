#include "collected.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"

namespace coppice::sparsity {
namespace {

const Tensor& first_of(const nn::Module& layer, const TensorList& inputs) {
  if (inputs.empty())
    throw IndexError(cat("[ActivationSparsifier] the ", layer.type_name(), " is called with no input"));
  return inputs[0];
}

}  // namespace

void ActivationSparsifier::Collected::take(const TensorList& masks) {
  if (auto* one = std::get_if<Tensor>(&mask)) one->replace_(masks.at(0));
  if (auto* each = std::get_if<TensorList>(&mask))
    for (std::size_t i = 0; i < masks.size(); ++i) (*each)[i].replace_(masks[i]);
  states.reset();
}

std::optional<TensorList> CollectHook::operator()(const nn::Module& layer, const TensorList& inputs) const {
  const NoGrad guard;
  const Tensor x = first_of(layer, inputs).detach();
  const TensorList parts = axis ? slices_of(x, *axis) : TensorList{x};
  const bool first = !collected->states;
  std::vector<TensorList> states;
  for (std::size_t i = 0; i < parts.size(); ++i)
    states.push_back(aggregate->add(first ? aggregate->begin(parts[i]) : collected->states->at(i), parts[i]));
  if (first) {  // tensors of their own: whoever holds the masks of the last step keeps those
    TensorList masks;
    for (const Tensor& part : parts) masks.push_back(ones_like(part));
    if (axis)
      collected->mask = std::move(masks);
    else
      collected->mask = std::move(masks[0]);
  }
  collected->states = std::move(states);
  return std::nullopt;
}

std::optional<TensorList> MaskHook::operator()(const nn::Module& layer, const TensorList& inputs) const {
  const Tensor& x = first_of(layer, inputs);
  TensorList out = inputs;
  if (const auto* one = std::get_if<Tensor>(&mask))
    out[0] = mul(x, *one);
  else if (const auto& each = std::get<TensorList>(mask); in_place)
    mask_slices_(x, each, *axis);
  else
    out[0] = with_masked_slices(x, each, *axis);
  return out;
}

}  // namespace coppice::sparsity
