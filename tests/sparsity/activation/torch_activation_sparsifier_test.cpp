// PyTorch's test_activation_sparsifier.py: its one test, stage by stage, with what its stages leave out.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/activation/activation_sparsifier.h"
#include "coppice/sparsity/mask_ops.h"

using namespace coppice;
using namespace coppice::sparsity;
using Mask = ActivationSparsifier::Mask;
using Features = std::vector<std::int64_t>;

namespace {

class Model final : public nn::Implements<Model> {
 public:
  static constexpr std::string_view kType = "test.activation.Model";
  nn::Child<nn::Conv2d> conv1{*this, "conv1", 1, 32, 3};
  nn::Child<nn::Conv2d> conv2{*this, "conv2", 32, 32, 3};
  nn::Child<nn::Identity> identity1{*this, "identity1"};
  nn::Child<nn::MaxPool2d> max_pool1{*this, "max_pool1", 2};
  nn::Child<nn::Linear> linear1{*this, "linear1", 4608, 128};
  nn::Child<nn::Identity> identity2{*this, "identity2"};
  nn::Child<nn::Linear> linear2{*this, "linear2", 128, 10};

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override {
    const Tensor pooled = max_pool1(identity1(conv2(conv1(x))));
    return linear2(relu(identity2(linear1(flatten(pooled, 1)))));
  }
};

AggregateFunction add_up() {
  return std::function<AggregateSignature>([](const Tensor& a, const Tensor& x) { return a + x; });
}
ReduceFunction over_batch() {
  return std::function<ReduceSignature>([](const Tensor& x) { return mean(x, {0}); });
}

struct Layer {
  const char* name;
  ActivationOptions options;
};
std::vector<Layer> layers() {
  const auto options = [](double level, std::optional<Features> features = std::nullopt) {
    ActivationOptions out{.mask_fn = MaskFunction("coppice.magnitude"), .features = features};
    if (features) out.feature_dim = 1;
    out.sparse_config.set("sparsity_level", level);
    return out;
  };
  return {{"conv1", options(0.3)},
          {"linear1", options(0.1, Features{0, 10, 234})},
          {"identity1", options(0.3)},
          {"identity2", options(0.1, Features{0, 10, 20})}};
}

const ActivationOptions kDefaults{
    .aggregate_fn = add_up(), .reduce_fn = over_batch(), .sparse_config = {{"sparsity_level", 0.5}}};

Tensor one(const Mask& mask) { return std::get<Tensor>(mask); }
TensorList many(const Mask& mask) { return std::get<TensorList>(mask); }

void check_constructor(const ActivationSparsifier& s) {
  CHECK(s.defaults() == kDefaults);
  CHECK_FALSE(s.defaults().mask_fn.has_value());
  CHECK_FALSE(s.defaults().features.has_value());
  CHECK_FALSE(s.defaults().feature_dim.has_value());
}

void check_register_layer(const ActivationSparsifier& s) {
  CHECK(s.size() == layers().size());
  for (const auto& [name, options] : layers()) {
    const ActivationOptions& group = s.group(name);
    CHECK(group.sparse_config == options.sparse_config);
    CHECK(group.aggregate_fn == kDefaults.aggregate_fn);
    CHECK(group.reduce_fn == kDefaults.reduce_fn);
    CHECK(group.mask_fn == options.mask_fn);
    CHECK(group.features == options.features);
    CHECK(group.feature_dim == options.feature_dim);
    CHECK_THROWS_AS((void)s.get_mask(name), ValueError);
  }
}

void check_state_dict(const ActivationSparsifier& s) {
  const ActivationSparsifierState state = s.state_dict();
  Model model;
  ActivationSparsifier fresh(model);
  CHECK_FALSE(fresh.defaults() == s.defaults());
  CHECK_FALSE(fresh.size() == s.size());
  fresh.load_state_dict(state);
  CHECK(fresh.defaults() == s.defaults());
  CHECK(fresh.names() == s.names());
  const ActivationSparsifierState again = fresh.state_dict();
  for (const std::string& name : s.names()) {
    CAPTURE(name);
    CHECK(*again.state.find(name) == *state.state.find(name));
    CHECK(*again.data_groups.find(name) == *state.data_groups.find(name));
    CHECK(fresh.hook_state(name) == s.hook_state(name));
    CHECK(fresh.data(name) == s.data(name));
    const auto& mask = *state.state.find(name);
    if (std::holds_alternative<std::monostate>(mask)) {
      CHECK_THROWS_AS((void)fresh.get_mask(name), ValueError);
      continue;
    }
    CHECK(fresh.get_mask(name) == s.get_mask(name));
    const bool listed = std::holds_alternative<std::vector<CooTensor>>(mask);
    CHECK(listed == s.group(name).features.has_value());
    if (listed) CHECK(std::get<std::vector<CooTensor>>(mask).size() == many(s.get_mask(name)).size());
  }
}

void check_squash_mask(Model& model, const Tensor& input, const ActivationSparsifier& s) {
  for (const char* name : {"identity1", "identity2"}) {
    nn::Module& layer = *model.child(name);
    const auto& axis = s.group(name);
    const Mask mask = s.get_mask(name);
    Tensor seen, given;
    // As there, the input is seen behind the sparsifier's hook, masked already; the next case looks before it.
    const nn::ScopedHook hook(layer.register_forward_hook(
        [&](const nn::Module&, const TensorList& in, const TensorList& out) -> std::optional<TensorList> {
          seen = in[0];
          given = out[0];
          return std::nullopt;
        }));
    (void)model(input);
    CHECK(given == seen);
    if (!axis.features) {
      CHECK(given == seen * one(mask));
      continue;
    }
    for (std::size_t i = 0; i < axis.features->size(); ++i) {
      const Tensor index = Tensor::from(Features{axis.features->at(i)}, {1});
      CHECK(index_select(given, 1, index) == index_select(seen, 1, index) * many(mask)[i]);
    }
  }
}

}  // namespace

TEST_SUITE("sparsity/activation/torch_activation_sparsifier") {
  TEST_CASE("TestActivationSparsifier.test_activation_sparsifier") {
    manual_seed(0);
    Model model;
    ActivationSparsifier s(model, kDefaults);
    check_constructor(s);
    for (const auto& [name, options] : layers()) s.register_layer(*model.child(name), options);
    check_register_layer(s);
    check_state_dict(s);

    // 5 passes
    Tensor sum_of_inputs = zeros({16, 1, 28, 28});
    Tensor input;
    for (int i = 0; i < 5; ++i) {
      input = randn({16, 1, 28, 28});
      sum_of_inputs = sum_of_inputs + input;
      (void)model(input);
    }
    CHECK(one(s.data("conv1")) == sum_of_inputs);
    CHECK(one(s.get_mask("conv1")) == ones({16, 1, 28, 28}));
    CHECK(many(s.get_mask("linear1"))[0] == ones({16, 1}));
    check_state_dict(s);

    s.step();
    CHECK(one(s.get_mask("conv1")) == mask_smallest(mean(sum_of_inputs, {0}), 235));
    for (const std::string& name : s.names()) CHECK(std::holds_alternative<std::monostate>(s.data(name)));
    CHECK(one(s.get_mask("conv1")).shape() == Shape{1, 28, 28});
    CHECK(784 - count_nonzero(one(s.get_mask("conv1"))) == 235);
    CHECK(one(s.get_mask("identity1")).shape() == Shape{32, 24, 24});
    CHECK(18432 - count_nonzero(one(s.get_mask("identity1"))) == 5530);
    for (const char* name : {"linear1", "identity2"}) {
      CHECK(many(s.get_mask(name)).size() == 3);
      for (const Tensor& mask : many(s.get_mask(name))) CHECK(mask == ones({1}));
    }
    check_state_dict(s);

    s.squash_mask();
    check_squash_mask(model, input, s);
    check_state_dict(s);
  }

  TEST_CASE("what enters a squashed layer is what came, times the mask, and nothing else") {
    manual_seed(0);
    Model model;
    Tensor before;
    (void)model.identity1.module()->register_forward_pre_hook(
        [&](const nn::Module&, const TensorList& in) -> std::optional<TensorList> {
          before = in[0];
          return std::nullopt;
        });
    Tensor entered;
    (void)model.identity1.module()->register_forward_hook(
        [&](const nn::Module&, const TensorList& in, const TensorList&) -> std::optional<TensorList> {
          entered = in[0];
          return std::nullopt;
        });
    ActivationSparsifier s(model, kDefaults);
    s.register_layer(*model.child("identity1"), {.mask_fn = MaskFunction("coppice.magnitude")});
    const Tensor input = randn({2, 1, 28, 28});
    (void)model(input);
    s.step();
    s.squash_mask();
    (void)model(input);
    CHECK(entered == before * one(s.get_mask("identity1")));
    CHECK_FALSE(entered == before);
  }
}
