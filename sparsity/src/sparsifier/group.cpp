#include "coppice/sparsity/sparsifier/group.h"

#include <algorithm>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/parametrize.h"
#include "coppice/sparsity/sparsifier/config.h"

namespace coppice::sparsity {

namespace parametrize = nn::parametrize;

namespace {
constexpr const char* kParametrization = "parametrization";
}  // namespace

Group::Group(const nn::TensorFqn& tensor, Arguments settings)
    : config(std::move(settings)),
      tensor_fqn_(tensor.tensor_fqn),
      module_fqn_(tensor.module_fqn),
      tensor_name_(tensor.tensor_name) {
  if (tensor.module == nullptr)
    throw KeyError(cat("[sparsifier] the model has no module ", quote(module_fqn_), " for ", quote(tensor_fqn_)));
  module_ = tensor.module->shared_from_this();
}

Tensor Group::weight() const { return module_->tensor(tensor_name_); }

Tensor Group::original() const {
  if (!parametrize::is_parametrized(*module_, tensor_name_)) return weight();
  return parametrize::parametrizations_of(*module_, tensor_name_).originals().at(0);
}

bool Group::attached() const {
  if (parametrization_ == nullptr || !parametrize::is_parametrized(*module_, tensor_name_)) return false;
  return std::ranges::any_of(parametrize::parametrizations_of(*module_, tensor_name_).children(),
                             [this](const auto& entry) { return entry.second == parametrization_; });
}

bool Group::masked_only() const {
  return attached() && parametrize::parametrizations_of(*module_, tensor_name_).size() == 1 &&
         dynamic_cast<const nn::FakeSparsity*>(parametrization_.get()) != nullptr;
}

Tensor Group::mask() const {
  if (parametrization_ == nullptr)
    throw StateError(cat("[sparsifier] ", quote(tensor_fqn_), " has no mask; call prepare() first"));
  return parametrization_->tensor("mask");
}

void Group::attach(const Tensor& mask) {
  nn::ModulePtr masking = config.has(kParametrization) ? config.function<MaskParametrization>(kParametrization)(mask)
                                                       : std::make_shared<nn::FakeSparsity>(mask);
  const Tensor* held = masking == nullptr ? nullptr : masking->own_buffers().find("mask");
  if (held == nullptr || !held->is(mask))
    throw ValueError(cat("[sparsifier] ", quote(tensor_fqn_), ": the parametrization does not hold the mask as its ",
                         "buffer 'mask'"));
  parametrize::register_parametrization(*module_, tensor_name_, masking);
  parametrization_ = std::move(masking);
}

bool Group::adopt() {
  if (!parametrize::is_parametrized(*module_, tensor_name_)) return false;
  for (const auto& [index, p] : parametrize::parametrizations_of(*module_, tensor_name_).children()) {
    const bool masks = config.has(kParametrization) ? p->own_buffers().contains("mask")
                                                    : dynamic_cast<const nn::FakeSparsity*>(p.get()) != nullptr;
    if (!masks) continue;
    parametrization_ = p;
    return true;
  }
  return false;
}

void Group::release() {
  if (!attached()) return;
  if (parametrize::parametrizations_of(*module_, tensor_name_).size() == 1) {
    parametrize::remove_parametrizations(*module_, tensor_name_, false);
    return;
  }
  const NoGrad guard;
  mask().fill_(1);
}

}  // namespace coppice::sparsity
