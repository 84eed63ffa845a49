#include "coppice/nn/quant/fused.h"

#include "coppice/engine/error.h"
#include "quant/tree.h"

namespace coppice::nn::quant {

FusedSequence::FusedSequence(const std::vector<ModulePtr>& modules) {
  for (std::size_t i = 0; i < modules.size(); ++i) {
    if (modules[i] == nullptr) throw ValueError("[FusedSequence] a module is null");
    add_module(std::to_string(i), modules[i]);
  }
  if (!modules.empty()) set_training(modules[0]->training());
}

TensorList FusedSequence::forward(const TensorList& inputs) const {
  TensorList x = inputs;
  for (const auto& [name, child] : children())
    if (name != kObserverChild) x = (*child)(x);
  return x;
}

}  // namespace coppice::nn::quant
