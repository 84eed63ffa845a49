#pragma once
/// Models that the tests of sparsifiers and schedulers share, after torch/testing/_internal/common_pruning.py.

#include <string>
#include <utility>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/sparsifier/base.h"

namespace coppice::testing {

/// seq: Linear 7-5, 5-6, 6-4; linear1: 4-4; linear2: 4-10; none with a bias.
class SimpleLinear final : public nn::Implements<SimpleLinear> {
 public:
  static constexpr std::string_view kType = "SimpleLinear";
  nn::Child<nn::Sequential> seq{
      *this, "seq",
      std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
          std::make_shared<nn::Linear>(7, 5, false), std::make_shared<nn::Linear>(5, 6, false),
          std::make_shared<nn::Linear>(6, 4, false)})};
  nn::Child<nn::Linear> linear1{*this, "linear1", 4, 4, false};
  nn::Child<nn::Linear> linear2{*this, "linear2", 4, 10, false};

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return linear2(linear1(seq(x))); }
};

[[nodiscard]] inline nn::ModulePtr simple_linear() { return std::make_shared<SimpleLinear>(); }

/// A model whose child "0" is a Linear without bias that has this weight.
[[nodiscard]] inline nn::ModulePtr linear_of(const Tensor& weight) {
  auto layer = std::make_shared<nn::Linear>(weight.size(1), weight.size(0), false);
  nn::load_state_dict(*layer, NamedTensors{{"weight", weight}});
  return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{layer});
}

[[nodiscard]] inline const nn::FakeSparsity* fake_sparsity(const nn::Module& model, std::string_view module) {
  const nn::Module& m = *model.find_module(module);
  if (!nn::parametrize::is_parametrized(m, "weight")) return nullptr;
  return dynamic_cast<const nn::FakeSparsity*>(nn::parametrize::parametrizations_of(m, "weight").child("0").get());
}

/// One element of a config.
[[nodiscard]] inline Arguments at(const char* tensor_fqn, Arguments more = {}) {
  Arguments out{{"tensor_fqn", std::string(tensor_fqn)}};
  for (const auto& [key, value] : more) out.set(key, value);
  return out;
}

/// Clears row 0 of every mask and counts its steps in the state of linear1, as the original tests' class.
class ImplementedSparsifier : public sparsity::BaseSparsifier {
 public:
  explicit ImplementedSparsifier(Arguments defaults = {}) : BaseSparsifier(std::move(defaults)) {}
  [[nodiscard]] std::string_view type_name() const override { return "ImplementedSparsifier"; }

 protected:
  void update_mask(sparsity::Group& group) override {
    narrow(group.mask(), 0, 0, 1).zero_();
    Arguments& known = state("linear1.weight");
    known.set("step_count", known.integer("step_count", 0) + 1);
  }
};

}  // namespace coppice::testing
