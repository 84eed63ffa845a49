// Quantised models in files.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "engine/io/io_support.h"

namespace {

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::nn::quant;
using coppice::test::TempDir;

ModulePtr float_model() {
  const auto model = std::make_shared<Sequential>();
  model->append(std::make_shared<QuantStub>());
  model->append(std::make_shared<Conv2d>(1, 3, 3)).append(std::make_shared<ReLU>());
  model->append(std::make_shared<MaxPool2d>(PoolOptions{.kernel = {2, 2}})).append(std::make_shared<Flatten>());
  model->append(std::make_shared<Linear>(27, 4)).append(std::make_shared<DeQuantStub>());
  model->eval();
  return model;
}

TEST_SUITE("nn/io/quantized_model") {
  TEST_CASE("a converted model comes back, with the same integers") {
    const TempDir dir;
    const Tensor x = randn({4, 1, 8, 8});
    for (const char* engine : {"x86", "qnnpack"}) {
      for (const bool fuse : {false, true}) {
        ModulePtr model = float_model();
        if (fuse) model = fuse_modules(model, {{"1", "2"}});
        model->set_qconfig(get_default_qconfig(engine));
        const QEngine before = set_default_qengine(qengine_from_name(engine));
        const ModulePtr converted = quantize(model, [&](Module& m) { (void)m(x); });
        set_default_qengine(before);
        save_model(*converted, dir / "q.safetensors");
        const ModulePtr back = load_model(dir / "q.safetensors");
        CHECK(back->describe() == converted->describe());
        CHECK((*back)(x) == (*converted)(x));
        CHECK(dynamic_cast<const QuantizedLinear&>(*back->child("5")).engine() == qengine_from_name(engine));
      }
    }
  }

  TEST_CASE("a dynamically quantised model too, of integers and of halves") {
    const TempDir dir;
    const Tensor x = randn({3, 6});
    const ModulePtr model = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{
        std::make_shared<Linear>(6, 5), std::make_shared<ReLU>(), std::make_shared<Linear>(5, 2, false)});
    for (const Dtype dtype : {Dtype::qint8, Dtype::f16}) {
      const ModulePtr converted = quantize_dynamic(model, dtype);
      save_model(*converted, dir / "d.safetensors");
      CHECK((*load_model(dir / "d.safetensors"))(x) == (*converted)(x));
    }
  }

  TEST_CASE("a prepared model is not kept in a file, and the message says what to do") {
    const TempDir dir;
    ModulePtr model = float_model();
    model->set_qconfig(get_default_qconfig());
    const ModulePtr prepared = prepare(model);
    CHECK_THROWS_WITH_AS(
        save_model(*prepared, dir / "p.safetensors"),
        "[save_model] module '0' is observed for quantisation, which a file does not keep: convert() it "
        "first, or save its state_dict()",
        NotSupported);
    // The state dict of one is taken by another that was prepared alike.
    (void)(*prepared)(randn({4, 1, 8, 8}));
    const ModulePtr again = prepare(model);
    load_state_dict(*again, state_dict(*prepared));
    const Tensor x = randn({2, 1, 8, 8});
    CHECK((*convert(again))(x) == (*convert(prepared))(x));
  }

  TEST_CASE("what a file has in the place of a quantised weight is checked") {
    const TempDir dir;
    ModulePtr model = float_model();
    model->set_qconfig(get_default_qconfig());
    const ModulePtr converted = quantize(model, [](Module& m) { (void)m(randn({4, 1, 8, 8})); });
    const NamedTensors sound = model_to_tensors(*converted);
    const auto refused = [&](std::string_view name, Tensor value) {
      NamedTensors tensors = sound;
      tensors.set(name, std::move(value));
      CHECK_THROWS_AS((void)model_from_tensors(tensors, "a file"), FormatError);
    };
    const std::string weight = "5._packed_params._packed_params.0";
    REQUIRE(sound.contains(weight));
    refused(weight, zeros({4, 27}));
    refused(weight, zeros({4, 27}, Dtype::i8));
    refused(weight, quantize_per_tensor(zeros({4, 27}), 1, 0, Dtype::quint8));
    refused(weight, quantize_per_tensor(zeros({4, 26}), 1, 0, Dtype::qint8));
    refused(weight, quantize_per_channel(zeros({4, 27}), ones({27}), zeros({27}, Dtype::i64), 1, Dtype::qint8));
    refused("5.scale", Tensor::of(0));
    refused("5.scale", Tensor::of(-1));
    refused("5.zero_point", full(Shape{}, 256, Dtype::i64));
    refused("0.scale", Tensor::of({std::nan("")}));
    refused("1.weight", quantize_per_tensor(zeros({3, 1, 3, 3}), 1, 0, Dtype::quint8));
    refused("1.scale", Tensor::of(0));
  }
}

}  // namespace
