// Layers whose tensors somebody made smaller from outside, as structured pruning does.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/engine/checked.h"
#include "coppice/nn.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::nn;

namespace {

/// Keeps the first `count` entries along `axis`.
void shrink(Module& m, const char* name, std::int64_t axis, std::int64_t count) {
  NoGrad guard;
  Tensor t = m.tensor(name);
  t.replace_(narrow(t, axis, 0, count).clone());
}

/// The four gates of hidden size `from` cut down to `to` each.
void shrink_gates(Module& m, const char* name, std::int64_t from, std::int64_t to) {
  NoGrad guard;
  Tensor t = m.tensor(name);
  TensorList gates;
  for (std::int64_t g = 0; g < 4; ++g) gates.push_back(narrow(t, 0, g * from, to));
  t.replace_(cat_tensors(gates, 0).clone());
}

/// Prints the sizes of now; its clone and what comes back from a file compute the same, in eval mode.
void check_whole(const Module& m, const TensorList& x, const std::string& printed) {
  CAPTURE(printed);
  CHECK(m.describe() == printed);
  const TensorList y = m(x);
  const ModulePtr copy = m.clone();
  CHECK(copy->describe() == printed);
  const test::TempDir folder;
  save_model(m, folder / "layer.safetensors");
  const ModulePtr loaded = load_model(folder / "layer.safetensors");
  CHECK(loaded->describe() == printed);
  for (const ModulePtr& other : {copy, loaded}) {
    const TensorList again = (*other)(x);
    REQUIRE(again.size() == y.size());
    for (std::size_t i = 0; i < y.size(); ++i) CHECK(again[i] == y[i]);
  }
}

/// What the call says as it refuses.
std::string refusal(const Module& m, const Tensor& x) {
  try {
    (void)m(TensorList{x});
  } catch (const ShapeError& e) {
    return e.what();
  }
  return {};
}
bool holds(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

/// Twice its input, counted.
class Counts final : public Implements<Counts> {
 public:
  static constexpr std::string_view kType = "test.Counts";
  mutable int calls = 0;

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return ++calls, x * 2; }
};

}  // namespace

TEST_SUITE("nn/layers/shrunken") {
  TEST_CASE("BatchNorm has as many features as its tensors") {
    manual_seed(1);
    BatchNorm2d m(3);
    m.tensor("running_mean").replace_(Tensor::of({1, 2, 3}));
    m.eval();
    const Tensor x = rand({2, 2, 2, 2}), wide = rand({2, 3, 2, 2});
    const char* names[] = {"weight", "bias", "running_mean", "running_var"};
    for (const char* name : names) {
      const ModulePtr part = m.clone();
      shrink(*part, name, 0, 2);
      CAPTURE(name);
      const bool leads = std::string_view(name) == "running_var";  // whose size the others must have
      CHECK(holds(refusal(*part, leads ? x : wide),
                  leads ? "'weight' must be (2,); got (3,)" : cat(quote(name), " must be (3,); got (2,)")));
    }
    for (const char* name : names) shrink(m, name, 0, 2);
    CHECK(m.num_features() == 2);
    check_whole(m, {x}, "BatchNorm2d(num_features=2, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)");
    CHECK(holds(refusal(m, rand({2, 3, 2, 2})), "[BatchNorm2d] needs 2 channels"));
    m.train();
    (void)m(x);
    CHECK(m.tensor("running_mean").shape() == Shape{2});
    shrink(m, "running_mean", 0, 1);  // would broadcast
    CHECK(holds(refusal(m, x), "'running_mean' must be (2,); got (1,)"));
  }

  TEST_CASE("BatchNorm reads its statistics, or else its weight; without either it keeps its number") {
    BatchNorm1d plain(BatchNormSettings{.features = 3, .affine = false});
    plain.eval();
    for (const char* name : {"running_mean", "running_var"}) shrink(plain, name, 0, 1);
    BatchNorm1d untracked(BatchNormSettings{.features = 3, .track_running_stats = false});
    for (const char* name : {"weight", "bias"}) shrink(untracked, name, 0, 1);
    for (const BatchNorm1d* m : {&plain, &untracked}) {
      CHECK(m->num_features() == 1);
      CHECK_NOTHROW((void)(*m)(ones({2, 1})));
      CHECK(holds(refusal(*m, ones({2, 3})), "needs 1 channels"));
    }
    const BatchNorm1d bare(BatchNormSettings{.features = 3, .affine = false, .track_running_stats = false});
    CHECK(bare.num_features() == 3);
    CHECK(holds(refusal(bare, ones({2, 2})), "needs 3 channels"));
  }

  TEST_CASE("LayerNorm normalises over the shape of its weight") {
    manual_seed(2);
    LayerNorm m({2, 3});
    shrink(m, "weight", 1, 2);
    CHECK(holds(refusal(m, rand({4, 2, 2})), "'bias' must be (2, 2) as 'weight'; got (2, 3)"));
    shrink(m, "bias", 1, 2);
    CHECK(m.normalized_shape() == Shape{2, 2});
    check_whole(m, {rand({4, 2, 2})},
                "LayerNorm(normalized_shape=(2, 2), eps=1e-05, elementwise_affine=True, bias=True)");
    CHECK(holds(refusal(m, rand({4, 2, 3})), "does not end in (2, 2)"));
    const LayerNorm bare({3}, 1e-5, false);
    CHECK(bare.normalized_shape() == Shape{3});
    CHECK(holds(refusal(bare, rand({4, 2})), "does not end in (3,)"));
  }

  TEST_CASE("an LSTM has the sizes of its first layer's weights; the other tensors must suit them") {
    manual_seed(3);
    LSTM m(LstmSettings{.input_size = 3, .hidden_size = 4, .num_layers = 2, .batch_first = true});
    shrink(m, "weight_ih_l0", 1, 2);
    CHECK(m.settings().input_size == 2);
    for (const char* name : {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"}) shrink_gates(m, name, 4, 3);
    shrink(m, "weight_hh_l0", 1, 3);
    const Tensor x = rand({2, 5, 2});
    CHECK(holds(refusal(m, x),
                "'weight_ih_l1' must be (12, 3) where input_size is 2, hidden_size 3 and proj_size 0; "
                "got (16, 4)"));
    for (const char* name : {"weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"}) shrink_gates(m, name, 4, 3);
    shrink(m, "weight_ih_l1", 1, 3);
    shrink(m, "weight_hh_l1", 1, 3);
    check_whole(m, {x},
                "LSTM(input_size=2, hidden_size=3, num_layers=2, bias=True, batch_first=True, dropout=0, "
                "proj_size=0, bidirectional=False)");
    CHECK(m(TensorList{x})[2].shape() == Shape{2, 2, 3});
    CHECK(holds(refusal(m, rand({2, 5, 3})), "[LSTM] needs x: [n, t, 2]"));
    shrink(m, "weight_ih_l0", 0, 11);  // no four gates
    CHECK(holds(refusal(m, x), "'weight_ih_l0' must be (8, 2)"));
    shrink(m, "bias_ih_l1", 0, 3);
    m.tensor("weight_ih_l0").replace_(zeros({3}));
    CHECK(holds(refusal(m, x), "'weight_ih_l0' must have 2 axes"));
  }

  TEST_CASE("an LSTM's projection shrinks too, and stays below the hidden size") {
    manual_seed(4);
    LSTM m(LstmSettings{.input_size = 3, .hidden_size = 4, .bidirectional = true, .proj_size = 3});
    for (const char* end : {"_l0", "_l0_reverse"}) {
      shrink(m, (std::string("weight_hr") + end).c_str(), 0, 2);
      shrink(m, (std::string("weight_hh") + end).c_str(), 1, 2);
    }
    CHECK(m.settings().proj_size == 2);
    check_whole(m, {rand({5, 2, 3})},
                "LSTM(input_size=3, hidden_size=4, num_layers=1, bias=True, batch_first=False, dropout=0, "
                "proj_size=2, bidirectional=True)");
    for (const char* end : {"_l0", "_l0_reverse"}) {
      for (const char* kind : {"weight_ih", "weight_hh", "bias_ih", "bias_hh"})
        shrink_gates(m, (std::string(kind) + end).c_str(), 4, 2);
      shrink(m, (std::string("weight_hr") + end).c_str(), 1, 2);
    }
    CHECK(holds(refusal(m, rand({5, 2, 3})), "proj_size must be below hidden_size; got 2 and 2"));
  }

  TEST_CASE("a depthwise convolution has as many groups as its weight has outputs") {
    manual_seed(5);
    Conv2d m(ConvSettings{4, 4, {3}, {.padding = {1}, .groups = 4}, true});
    shrink(m, "weight", 0, 3);
    CHECK(m.options().groups == 3);
    CHECK_FALSE(refusal(m, rand({1, 3, 4, 4})).empty());  // the bias
    shrink(m, "bias", 0, 3);
    check_whole(m, {rand({1, 3, 4, 4})},
                "Conv2d(in_channels=3, out_channels=3, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), "
                "dilation=(1, 1), groups=3, bias=True)");
    CHECK_THROWS_AS((void)m(rand({1, 4, 4, 4})), Error);
  }

  TEST_CASE("a depthwise convolution that grows keeps its groups: several outputs of each channel") {
    manual_seed(7);
    Conv1d m(ConvSettings{2, 2, {2}, {.groups = 2}, false});
    Tensor weight = m.tensor("weight");
    {
      const NoGrad guard;
      weight.replace_(rand({4, 1, 2}));
    }
    CHECK(m.options().groups == 2);
    const Tensor x = rand({1, 2, 5});
    CHECK(m(x) == conv1d(x, weight, Tensor(), {.groups = 2}));
    check_whole(m, {x},
                "Conv1d(in_channels=2, out_channels=4, kernel_size=2, stride=1, padding=0, dilation=1, groups=2, "
                "bias=False)");
    {
      const NoGrad guard;
      weight.replace_(rand({3, 1, 2}));
    }
    CHECK(holds(refusal(m, x), "[Conv1d] weight (3, 1, 2) has 3 outputs, which 2 groups do not divide"));
  }

  TEST_CASE("other groups stay: as many channels must go from each") {
    manual_seed(6);
    Conv1d m(ConvSettings{4, 6, {2}, {.groups = 2}, false});
    shrink(m, "weight", 1, 1);
    shrink(m, "weight", 0, 4);
    CHECK(m.options().groups == 2);
    check_whole(m, {rand({1, 2, 5})},
                "Conv1d(in_channels=2, out_channels=4, kernel_size=2, stride=1, padding=0, dilation=1, groups=2, "
                "bias=False)");
    shrink(m, "weight", 0, 3);
    CHECK(holds(refusal(m, rand({1, 2, 5})), "[Conv1d] weight (3, 1, 2) has 3 outputs, which 2 groups do not divide"));
    Conv1d multiplied(ConvSettings{2, 4, {2}, {.groups = 2}, false});  // two outputs of each channel
    shrink(multiplied, "weight", 0, 2);
    CHECK(multiplied.options().groups == 2);
  }

  TEST_CASE("a parametrized tensor is computed once in a call") {
    const auto call = [](Module& m, const char* name, const Tensor& x) {
      const auto counts = std::make_shared<Counts>();
      parametrize::register_parametrization(m, name, counts);
      counts->calls = 0;
      (void)m(TensorList{x});
      return counts->calls;
    };
    BatchNorm1d norm(2);
    LayerNorm layer({2});
    LSTM lstm(LstmSettings{.input_size = 2, .hidden_size = 3});
    Conv1d conv(ConvSettings{2, 2, {1}, {.groups = 2}, true});
    Conv1d shrunk(ConvSettings{3, 3, {1}, {.groups = 3}, true});
    for (const char* name : {"weight", "bias"}) shrink(shrunk, name, 0, 2);
    CHECK(call(norm, "weight", rand({3, 2})) == 1);
    CHECK(call(layer, "weight", rand({3, 2})) == 1);
    CHECK(call(lstm, "weight_ih_l0", rand({3, 1, 2})) == 1);
    CHECK(call(conv, "weight", rand({1, 2, 3})) == 1);
    CHECK(call(shrunk, "weight", rand({1, 2, 3})) == 1);
  }
}
