#include "coppice/nn/loss.h"

#include <array>

#include "coppice/engine/checked.h"
namespace coppice::nn {
namespace {

constexpr std::array<std::string_view, 3> kWords{"none", "mean", "sum"};

Reduction reduction_from(std::string_view type, const Arguments& a) {
  const std::string word = a.text("reduction", "mean");
  for (std::size_t i = 0; i < kWords.size(); ++i)
    if (kWords[i] == word) return static_cast<Reduction>(i);
  throw ValueError(cat("[", type, "] reduction must be 'none', 'mean' or 'sum'; got ", quote(word)));
}

Arguments arguments_of(Reduction reduction) {
  return {{"reduction", std::string(kWords[static_cast<std::size_t>(reduction)])}};
}

void need_two(std::string_view type, const TensorList& inputs) {
  if (inputs.size() != 2) throw ValueError(cat("[", type, "] takes an input and a target; got ", inputs.size()));
}

}  // namespace

CrossEntropyLoss::CrossEntropyLoss(const Arguments& a) : reduction_(reduction_from(kType, a)) {}
Arguments CrossEntropyLoss::arguments() const { return arguments_of(reduction_); }

Tensor CrossEntropyLoss::operator()(const Tensor& logits, const Tensor& target) const {
  return (*this)(TensorList{logits, target})[0];
}

TensorList CrossEntropyLoss::forward(const TensorList& inputs) const {
  need_two(kType, inputs);
  return {cross_entropy(inputs[0], inputs[1], reduction_)};
}

MSELoss::MSELoss(const Arguments& a) : reduction_(reduction_from(kType, a)) {}
Arguments MSELoss::arguments() const { return arguments_of(reduction_); }

Tensor MSELoss::operator()(const Tensor& input, const Tensor& target) const {
  return (*this)(TensorList{input, target})[0];
}

TensorList MSELoss::forward(const TensorList& inputs) const {
  need_two(kType, inputs);
  return {mse_loss(inputs[0], inputs[1], reduction_)};
}

}  // namespace coppice::nn
