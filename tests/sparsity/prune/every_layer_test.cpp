// Every parameter of every kind of layer can be pruned by every method that its axes allow.
#include <doctest/doctest.h>

#include <functional>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

namespace {

/// A module of the user's own: y = (x * scale) w + shift.
class Mine final : public nn::Implements<Mine> {
 public:
  static constexpr std::string_view kType = "Mine";
  Mine() {
    register_parameter("w", coppice::rand({4, 4, 1}));
    register_parameter("scale", coppice::rand({4}));
    register_parameter("shift", coppice::rand({}));
  }

 private:
  Tensor forward(const Tensor& x) const override {
    return matmul(x * tensor("scale"), tensor("w").reshape({4, 4})) + tensor("shift");
  }
};

struct Layer {
  nn::ModulePtr module;
  TensorList inputs;
};

nn::ConvSettings conv(std::int64_t axes) {
  return {.in_channels = 4,
          .out_channels = 3,
          .kernel_size = std::vector<std::int64_t>(static_cast<std::size_t>(axes), 2),
          .options = {}};
}

std::vector<Layer> layers() {
  manual_seed(11);
  const Tensor index = Tensor::of({{1, 2, 0}, {2, 2, 4}}).to(Dtype::i64);
  std::vector<Layer> out{
      {std::make_shared<nn::Linear>(4, 3), {coppice::rand({2, 4})}},
      {std::make_shared<nn::Conv1d>(conv(1)), {coppice::rand({2, 4, 5})}},
      {std::make_shared<nn::Conv2d>(conv(2)), {coppice::rand({2, 4, 3, 3})}},
      {std::make_shared<nn::Conv3d>(conv(3)), {coppice::rand({1, 4, 3, 3, 3})}},
      {std::make_shared<nn::LSTM>(
           nn::LstmSettings{.input_size = 4, .hidden_size = 3, .num_layers = 2, .bidirectional = true, .proj_size = 2}),
       {coppice::rand({3, 2, 4})}},
      {std::make_shared<nn::Embedding>(5, 3), {index}},
      {std::make_shared<nn::EmbeddingBag>(5, 3), {index}},
      {std::make_shared<nn::BatchNorm1d>(4), {coppice::rand({3, 4})}},
      {std::make_shared<nn::BatchNorm2d>(4), {coppice::rand({2, 4, 3, 3})}},
      {std::make_shared<nn::LayerNorm>(std::vector<std::int64_t>{2, 4}), {coppice::rand({3, 2, 4})}},
      {std::make_shared<Mine>(), {coppice::rand({2, 4})}}};
  NoGrad guard;
  for (Layer& layer : out)  // weights and biases of 1 and 0 would not show what is masked
    for (const auto& [name, t] : layer.module->named_parameters()) Tensor(t).add_(coppice::rand(t.shape()));
  return out;
}

Tensor every_second(const Shape& shape) {
  Tensor mask = ones(shape);
  const auto values = mask.mutable_data<float>();
  for (std::size_t i = 1; i < values.size(); i += 2) values[i] = 0;
  return mask;
}

using Apply = std::function<void(nn::Module&, const std::string&)>;
const std::vector<std::pair<std::string, Apply>> kMethods{
    {"identity", [](nn::Module& m, const std::string& n) { identity(m, n); }},
    {"random_unstructured", [](nn::Module& m, const std::string& n) { random_unstructured(m, n, 0.5); }},
    {"l1_unstructured", [](nn::Module& m, const std::string& n) { l1_unstructured(m, n, 0.5); }},
    {"custom_from_mask",
     [](nn::Module& m, const std::string& n) { custom_from_mask(m, n, every_second(m.tensor(n).shape())); }},
    {"global_unstructured",
     [](nn::Module& m, const std::string& n) {
       global_unstructured({{&m, n}}, L1Unstructured(0.5));
     }},
    {"random_structured", [](nn::Module& m, const std::string& n) { random_structured(m, n, 1, 0); }},
    {"ln_structured", [](nn::Module& m, const std::string& n) { ln_structured(m, n, 1, 2, -1); }},
};

/// Results and gradients of one call.
struct Run {
  TensorList outputs, gradients;
  bool operator==(const Run& other) const { return outputs == other.outputs && gradients == other.gradients; }
};

Run run(const Layer& layer, const TensorList& wanted) {
  layer.module->zero_grad();
  Run out;
  out.outputs = (*layer.module)(layer.inputs);
  Tensor total = sum(out.outputs[0] * out.outputs[0]);
  total.backward();
  for (Tensor& t : out.outputs) t = t.detach();
  for (const Tensor& t : wanted) out.gradients.push_back(t.grad().defined() ? t.grad().clone() : Tensor::of(-1));
  return out;
}

}  // namespace

TEST_SUITE("sparsity/prune/every_layer") {
  TEST_CASE("prune, run, differentiate, remove: every parameter of every layer by every method") {
    std::size_t pruned = 0;
    for (const Layer& made : layers())
      for (const nn::NamedTensor& parameter : made.module->named_parameters())
        for (const auto& each : kMethods) {
          const std::string &name = parameter.first, &method = each.first;
          if (parameter.second.dim() < 2 && method.ends_with("_structured")) continue;
          CAPTURE(made.module->type_name());
          CAPTURE(name);
          CAPTURE(method);
          const Layer layer{made.module->clone(), made.inputs};
          nn::Module& m = *layer.module;
          const Tensor original = m.tensor(name);
          const Run before = run(layer, {original});
          std::vector<std::string> keys = nn::state_dict(m).names();

          manual_seed(1);
          each.second(m, name);
          ++pruned;
          const Tensor mask = m.tensor(name + "_mask");
          CHECK(m.tensor(name + "_orig").is(original));
          CHECK(m.tensor(name).detach() == original.detach() * mask);
          if (method != "identity" && mask.numel() > 1) CHECK(count_nonzero(mask) < mask.numel());
          std::erase(keys, name);
          keys.push_back(name + "_orig");
          keys.push_back(name + "_mask");
          std::vector<std::string> now = nn::state_dict(m).names();
          std::ranges::sort(keys);
          std::ranges::sort(now);
          CHECK(now == keys);

          // One run for each number of threads: equal, and that of a layer that holds the product itself.
          const nn::ModulePtr plain = m.clone();
          remove(*plain, name);
          const Run wanted = run({plain, made.inputs}, {plain->tensor(name)});
          for (const int threads : {1, 2, 7}) {
            set_num_threads(threads);
            const Run got = run(layer, {original});
            CHECK(got.outputs == wanted.outputs);
            CHECK(got.gradients[0] == wanted.gradients[0] * mask);
            if (method == "identity") CHECK(got == before);
          }
          set_num_threads(2);

          remove(m, name);
          CHECK(m.tensor(name).is(original));
          CHECK(m.own_parameters().contains(name));
          CHECK(run(layer, {original}).outputs == wanted.outputs);
          CHECK_FALSE(is_pruned(m));
        }
    CHECK(pruned == 237);
  }

  TEST_CASE("an LSTM's flat weights keep their order; a pruned one is no parameter until it is removed") {
    nn::LSTM m(nn::LstmSettings{.input_size = 3, .hidden_size = 2});
    const std::vector<std::string> names{"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"};
    CHECK(m.flat_weights_names() == names);
    const auto parameters = [&] {
      std::size_t count = 0;
      for (const Tensor& t : m.flat_weights())
        for (const auto& [name, p] : m.own_parameters()) count += p.is(t);
      return count;
    };
    CHECK(parameters() == 4);
    const Tensor weight = m.tensor("weight_ih_l0");
    l1_unstructured(m, "weight_ih_l0", 0.5);
    CHECK(parameters() == 3);
    CHECK(m.flat_weights()[0].detach() == weight.detach() * m.tensor("weight_ih_l0_mask"));
    sum(m(TensorList{ones({3, 1, 3})})[0]).backward();
    CHECK(weight.grad() == weight.grad() * m.tensor("weight_ih_l0_mask"));
    CHECK(m.flat_weights_names() == names);
    remove(m, "weight_ih_l0");
    CHECK(parameters() == 4);
    CHECK(m.flat_weights()[0].is(weight));
    CHECK(m.own_parameters().begin()->first == "weight_hh_l0");  // last in order, first among the flat ones
    const auto copy = std::dynamic_pointer_cast<nn::LSTM>(m.clone());
    CHECK(copy->flat_weights_names() == names);
    CHECK(nn::LSTM(nn::LstmSettings{.input_size = 3,
                                    .hidden_size = 2,
                                    .num_layers = 2,
                                    .bias = false,
                                    .bidirectional = true,
                                    .proj_size = 1})
              .flat_weights_names()[5] == "weight_hr_l0_reverse");
  }
}
