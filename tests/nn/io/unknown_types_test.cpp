// Model files with modules of types that nobody registered here.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::nn;
using namespace coppice::test;

namespace {

/// Has a tensor, a buffer and a child of its own, and a child that a file adds.
class Known final : public Implements<Known> {
 public:
  static constexpr std::string_view kType = "test.Known";
  explicit Known(std::int64_t width = 3) : width_(width) {
    register_parameter("gain", ones({width, 2}));
    register_parameter("offset", ones({2}));
    register_buffer("count", Tensor::of({4, 5}));
    add_module("fc", std::make_shared<Linear>(4, width));
  }
  explicit Known(const Arguments& a) : Known(a.integer("width", 3)) {}
  [[nodiscard]] Arguments arguments() const override { return {{"width", width_}}; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }

 private:
  std::int64_t width_;
};

ModulePtr make_model() {
  static const bool registered = [] {
    register_module("test.Known", [](const Arguments& a) -> ModulePtr { return std::make_shared<Known>(a); });
    return true;
  }();
  (void)registered;
  manual_seed(1);
  const auto model = std::make_shared<Sequential>();
  model->add_module("net", std::make_shared<Known>(5));
  model->add_module("head", std::make_shared<Linear>(5, 2));
  model->child("net")->tensor("offset").requires_grad_(false);
  Tensor mask = ones({5, 4});
  for (std::int64_t i = 0; i < 5; ++i) mask.set_({i, i % 4}, 0);
  set_mask(*model->child("net")->child("fc"), "weight", mask);
  return model;
}

/// What save_model writes of it, with the type called as somebody else calls it.
NamedTensors renamed(const Module& model, const std::string& name = "Elsewhere") {
  NamedTensors out = model_to_tensors(model);
  std::string& text = out.metadata()[kModelKey];
  for (std::size_t at = text.find("test.Known"); at != text.npos; at = text.find("test.Known"))
    text.replace(at, 10, name);
  return out;
}

std::string load(const NamedTensors& tensors, UnknownTypes unknown) {
  return outcome([&] { return model_from_tensors(tensors, "m.safetensors", {}, unknown); });
}

}  // namespace

TEST_SUITE("nn/io/unknown_types") {
  TEST_CASE("types that nobody registered are listed, once each") {
    const ModulePtr model = make_model();
    CHECK(unknown_types(model_to_tensors(*model)).empty());
    CHECK(unknown_types(renamed(*model)) == std::vector<std::string>{"Elsewhere"});
    CHECK(unknown_types({{"x", Tensor::of(1)}}).empty());
    NamedTensors damaged = renamed(*model);
    damaged.metadata()[kModelKey].pop_back();
    CHECK(unknown_types(damaged).empty());
    damaged = renamed(*model);
    std::string& text = damaged.metadata()[kModelKey];
    text.replace(text.find("\"format\":1"), 10, "\"format\":9");
    CHECK(unknown_types(damaged).empty());
  }

  TEST_CASE("such a file is refused, unless stand-ins are asked for") {
    const NamedTensors tensors = renamed(*make_model());
    const std::string said = load(tensors, UnknownTypes::refuse);
    CHECK(said.starts_with("FormatError"));
    CHECK(said.find("unknown type 'Elsewhere'") != said.npos);
    CHECK(load(tensors, UnknownTypes::keep) == "accepted");
  }

  TEST_CASE("a stand-in holds tensors, masks and children, and is saved as what it stands for") {
    const ModulePtr model = make_model();
    const ModulePtr kept = model_from_tensors(renamed(*model), "m.safetensors", {}, UnknownTypes::keep);
    const NamedTensors known = state_dict(*model_from_tensors(model_to_tensors(*model), "m.safetensors"));
    check_same_bits(state_dict(*kept), known);
    CHECK(kept->child("net")->type_name() == "Elsewhere");
    CHECK(kept->child("net")->arguments() == model->child("net")->arguments());
    CHECK(!kept->child("net")->tensor("offset").requires_grad());
    CHECK(kept->child("net")->tensor("gain").requires_grad());
    CHECK(is_masked(*kept->child("net")->child("fc"), "weight"));

    const NamedTensors again = model_to_tensors(*kept);
    check_same_bits(again, renamed(*model));
    CHECK(again.metadata() == renamed(*model).metadata());
    check_same_bits(model_to_tensors(*kept->clone()), again);
    NamedTensors back = again;
    std::string& text = back.metadata()[kModelKey];
    text.replace(text.find("Elsewhere"), 9, "test.Known");
    check_same_bits(state_dict(*model_from_tensors(back, "m.safetensors")), known);
  }

  TEST_CASE("it cannot be called") {
    const ModulePtr kept = model_from_tensors(renamed(*make_model()), "m.safetensors", {}, UnknownTypes::keep);
    CHECK_THROWS_WITH_AS((void)(*kept)(ones({1, 4})), doctest::Contains("nobody registered the type 'Elsewhere'"),
                         NotSupported);
  }

  TEST_CASE("what only the class itself could say is refused: masks of its own tensors") {
    const ModulePtr model = make_model();
    set_mask(*model->child("net"), "gain", zeros({5, 2}));
    CHECK(load(model_to_tensors(*model), UnknownTypes::refuse) == "accepted");
    CHECK(load(renamed(*model), UnknownTypes::keep).starts_with("FormatError"));
  }

  TEST_CASE("known modules keep to all rules beside them") {
    NamedTensors tensors = renamed(*make_model());
    tensors.set("head.weight", ones({2, 6}));
    CHECK(load(tensors, UnknownTypes::keep).find("'head.weight'") != std::string::npos);
    tensors = renamed(*make_model());
    tensors.add("nowhere.weight", ones({1}));
    CHECK(load(tensors, UnknownTypes::keep).find("'nowhere.weight'") != std::string::npos);
  }
}
