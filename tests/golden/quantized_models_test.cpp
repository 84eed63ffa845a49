// Quantised layers of each engine, training with rounding, and converted models against PyTorch's
// (make_quantized_models.py).
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "golden/stored_cases.h"

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;
using nlohmann::json;

namespace {

constexpr const char* kEngines[] = {"fbgemm", "x86", "qnnpack", "onednn"};

using Golden = testing::StoredCases;

/// How many integers agree, and how many are one step away; more is an error of its own.
struct Agreement {
  std::int64_t all = 0, near = 0, far = 0;
  void add(const Tensor& got, const Tensor& expected) {
    const auto a = int_repr(got).to_vector<std::int64_t>(), b = expected.to_vector<std::int64_t>();
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      ++all;
      if (std::abs(a[i] - b[i]) == 1) ++near;
      if (std::abs(a[i] - b[i]) > 1) ++far;
    }
  }
};

Shape shape_of(const json& sizes) { return Shape(sizes.get<std::vector<std::int64_t>>()); }

void check_layer(const json& c, Golden& g, std::map<std::string, Agreement>& agreement) {
  const Shape shape = shape_of(c.at("weight"));
  const Tensor w = g.values.next(shape);
  const Tensor bias = c.at("bias").get<bool>() ? g.values.next({shape[0]}) : Tensor();
  const Tensor x = g.values.next(shape_of(c.at("x")));
  const Tensor qw =
      c.at("channels").get<bool>()
          ? quantize_per_channel(w, g.values.next({shape[0]}), zeros({shape[0]}, Dtype::i64), 0, Dtype::qint8)
          : quantize_per_tensor(w, c.at("weight_scale").get<double>(), 0, Dtype::qint8);
  const Tensor qx =
      quantize_per_tensor(x, c.at("x_scale").get<double>(), c.at("x_zero_point").get<std::int64_t>(), Dtype::quint8);
  const QuantizedOutput out{c.at("scale").get<double>(), c.at("zero_point").get<std::int64_t>(),
                            c.at("relu").get<bool>()};
  for (const char* name : kEngines) {
    const QEngine engine = qengine_from_name(name);
    CAPTURE(std::string(name));
    const Tensor expected = g.integers.next(shape_of(c.at("y")));
    if (c.at("conv").get<bool>()) {
      const ConvOptions options{{c.at("stride").get<std::int64_t>()},
                                {c.at("padding").get<std::int64_t>()},
                                {1},
                                c.at("groups").get<std::int64_t>()};
      agreement[cat("conv ", name)].add(QuantizedConv2dWeight(qw, bias, options).conv2d(qx, out, engine), expected);
    } else {
      const QuantizedLinearWeight weight(qw, bias);
      agreement[cat("linear ", name)].add(weight.linear(qx, out, engine), expected);
      if (engine == QEngine::qnnpack) continue;
      const Tensor y = g.values.next(shape_of(c.at("y")));
      CHECK(allclose(weight.linear_dynamic(x, engine), y, Tolerance{2e-6, 2e-6}));
    }
  }
}

void check_training(const json& c, Golden& g) {
  const auto in = c.at("in").get<std::int64_t>(), out = c.at("out").get<std::int64_t>(),
             n = c.at("n").get<std::int64_t>();
  const auto layer = std::make_shared<Linear>(in, out);
  {
    const NoGrad guard;
    layer->tensor("weight").copy_(g.values.next({out, in}));
    layer->tensor("bias").copy_(g.values.next({out}));
  }
  const auto model = std::make_shared<Sequential>();
  model->append(std::make_shared<QuantStub>()).append(layer);
  if (c.at("relu").get<bool>()) model->append(std::make_shared<ReLU>());
  model->append(std::make_shared<DeQuantStub>());
  ModulePtr root = model;
  if (c.at("relu").get<bool>()) root = fuse_modules_qat(root, {{"1", "2"}}, Mode::inplace);
  root->set_qconfig(get_default_qat_qconfig(c.at("backend").get<std::string>(), c.at("version").get<int>()));
  root = prepare_qat(root, Mode::inplace);
  const Tensor x = g.values.next({n, in}), target = g.values.next({n, out});
  SGD optimiser(root->parameters(), {.lr = c.at("rate").get<double>()});
  Tensor loss;
  for (int step = 0; step < 20; ++step) {
    root->zero_grad();
    const Tensor difference = (*root)(x)-target;
    loss = mean(difference * difference);
    loss.backward();
    optimiser.step();
  }
  const Module& trained = *root->child("1");
  constexpr Tolerance kClose{1e-4, 1e-4};
  CHECK(allclose(trained.tensor("weight").detach(), g.values.next({out, in}), kClose));
  CHECK(allclose(trained.tensor("bias").detach(), g.values.next({out}), kClose));
  const Tensor scale = trained.child("weight_fake_quant")->tensor("scale");
  CHECK(allclose(scale, g.values.next({c.at("channels").get<std::int64_t>()}), kClose));
  CHECK(allclose(loss.detach(), g.values.next(Shape{}), Tolerance{1e-3, 1e-4}));
}

ModulePtr model_of(const json& c, Golden& g) {
  const auto widths = c.at("widths").get<std::vector<std::int64_t>>();
  const auto model = std::make_shared<Sequential>();
  model->append(std::make_shared<QuantStub>());
  const auto relu = [] { return std::make_shared<ReLU>(); };
  if (c.at("conv").get<bool>()) {
    model->append(std::make_shared<Conv2d>(1, widths[0], 3, 1, 1)).append(relu());
    model->append(std::make_shared<MaxPool2d>(PoolOptions{.kernel = {2, 2}})).append(std::make_shared<Flatten>());
    model->append(std::make_shared<Linear>(widths[0] * 16, widths[1])).append(relu());
  } else {
    model->append(std::make_shared<Linear>(12, widths[0])).append(relu());
    model->append(std::make_shared<Linear>(widths[0], widths[1])).append(relu());
  }
  model->append(std::make_shared<Linear>(widths[1], widths[2])).append(std::make_shared<DeQuantStub>());
  const NoGrad guard;
  for (auto& [name, parameter] : model->named_parameters()) Tensor(parameter).copy_(g.values.next(parameter.shape()));
  return model;
}

void check_model(const json& c, Golden& g, Agreement& agreement) {
  ModulePtr model = model_of(c, g);
  const bool conv = c.at("conv").get<bool>();
  const Tensor x = g.values.next(conv ? Shape{16, 1, 8, 8} : Shape{32, 12});
  const std::string engine = c.at("engine").get<std::string>();
  model->eval();
  if (c.at("fuse").get<bool>())
    model = fuse_modules(model, conv ? std::vector<std::vector<std::string>>{{"1", "2"}, {"5", "6"}}
                                     : std::vector<std::vector<std::string>>{{"1", "2"}, {"3", "4"}});
  model->set_qconfig(get_default_qconfig(engine));
  const QEngine before = set_default_qengine(qengine_from_name(engine));
  ModulePtr prepared = prepare(model);
  (void)(*prepared)(x);
  const ModulePtr converted = convert(prepared);
  set_default_qengine(before);
  Tensor y = x;
  std::size_t at = 0;
  for (const auto& [name, module] : converted->children()) {
    y = (*module)(y);
    if (y.is_quantized()) agreement.add(y, g.integers.next(y.shape()));
    if (!module->has("scale")) continue;
    const json& expected = c.at("parameters").at(at++);
    CHECK(module->tensor("scale").item() == doctest::Approx(expected.at(0).get<double>()).epsilon(1e-6));
    CHECK(module->tensor("zero_point").item<std::int64_t>() == expected.at(1).get<std::int64_t>());
  }
  CHECK(at == c.at("parameters").size());
}

}  // namespace

TEST_SUITE("golden/quantized_models") {
  TEST_CASE("150 layers, 20 training runs and 30 models are PyTorch's") {
    Golden g("quantized_models");
    std::map<std::string, Agreement> layers;
    for (const json& c : g.cases.at("layers")) {
      const std::string text = c.dump();
      CAPTURE(text);
      check_layer(c, g, layers);
    }
    CHECK(layers.size() == 8);
    for (const auto& [name, a] : layers) {
      CAPTURE(name);
      CHECK(a.far == 0);
      CHECK(a.near == 0);
    }
    for (const json& c : g.cases.at("training")) {
      const std::string text = c.dump();
      CAPTURE(text);
      check_training(c, g);
    }
    Agreement models;
    for (const json& c : g.cases.at("models")) {
      const std::string text = c.dump();
      CAPTURE(text);
      check_model(c, g, models);
    }
    CHECK(models.far == 0);
    CHECK(models.near <= 2);  // of 480,928
    CHECK(g.cases.at("layers").size() == 150);
    CHECK(g.cases.at("training").size() == 20);
    CHECK(g.cases.at("models").size() == 30);
    CHECK(g.values.at_end());
    CHECK(g.integers.at_end());
  }
}
