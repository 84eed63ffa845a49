/// Model files of classes that make their children themselves: what is saved is loaded, or is not saved.
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::nn;

namespace {

/// A class of the program's: children without handles.
class Digits final : public Implements<Digits> {
 public:
  static constexpr std::string_view kType = "test.Digits";
  Digits() {
    add_module("conv1", std::make_shared<Conv2d>(1, 2, 2));
    add_module("body", std::make_shared<Sequential>(std::initializer_list<ModulePtr>{std::make_shared<Flatten>(),
                                                                                     std::make_shared<Linear>(2, 3)}));
  }
  explicit Digits(const Arguments&) : Digits() {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return (*child("body"))((*child("conv1"))(x)); }
};

/// Holds one of them in a member as well.
class Holding final : public Implements<Holding> {
 public:
  static constexpr std::string_view kType = "test.Holding";
  Holding() { add_module("fc", fc_); }
  explicit Holding(const Arguments&) : Holding() {}
  [[nodiscard]] const std::shared_ptr<Linear>& member() const { return fc_; }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return (*fc_)(x); }

 private:
  std::shared_ptr<Linear> fc_ = std::make_shared<Linear>(2, 2);
};

/// One layer under two names, and one that is frozen; makes a buffer in a child.
class Odd final : public Implements<Odd> {
 public:
  static constexpr std::string_view kType = "test.Odd";
  Odd() {
    const auto tied = std::make_shared<Linear>(2, 2);
    add_module("a", tied);
    add_module("b", tied);
    const auto frozen = std::make_shared<Linear>(2, 2);
    frozen->requires_grad_(false);
    frozen->register_buffer("scale", Tensor::of(2));
    add_module("c", frozen);
  }
  explicit Odd(const Arguments&) : Odd() {}

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override {
    Tensor y = x;
    for (const auto& [name, module] : children()) y = (*module)(y);
    return y;
  }
};

template <class M>
void know() {
  if (!is_registered(M::kType)) register_module(M::kType, [](const Arguments& a) { return std::make_shared<M>(a); });
}

ModulePtr saved_and_loaded(const Module& model) {
  const TempDir dir;
  save_model(model, dir / "m.safetensors");
  return load_model(dir / "m.safetensors", {.map = false});
}

void check_refused(const Module& model, const std::string& fragment) {
  const TempDir dir;
  CHECK_THROWS_WITH_AS(save_model(model, dir / "m.safetensors"), doctest::Contains(fragment.c_str()), NotSupported);
  CHECK(dir.size() == 0);
}

/// What loading says to this description.
std::string load(const std::string& model, NamedTensors tensors) {
  const TempDir dir;
  tensors.metadata()["coppice.model"] = R"({"format": 1, "model": )" + model + "}";
  write_safetensors(dir / "bad.safetensors", tensors);
  return outcome([&] { return load_model(dir / "bad.safetensors"); });
}

std::shared_ptr<PackedLinear> packed(const Module& linear) {
  return PackedLinear::from_dense(linear.tensor("weight"), linear.find_tensor("bias"), "csr");
}

}  // namespace

TEST_SUITE("nn/io/made_children") {
  TEST_CASE("packed layers in the place of made ones come back, also deeper") {
    know<Digits>();
    const NoGrad off;
    Digits model;
    const auto& conv = dynamic_cast<const Conv2d&>(*model.child("conv1"));
    model.add_module("conv1",
                     PackedConv2d::from_dense(conv.tensor("weight"), conv.tensor("bias"), conv.options(), "block4"));
    model.child("body")->add_module("1", packed(*model.find_module("body.1")));
    const Tensor x = rand({3, 1, 2, 2});
    const ModulePtr back = saved_and_loaded(model);
    CHECK(back->child("conv1")->type_name() == "PackedConv2d");
    CHECK(back->find_module("body.1")->type_name() == "PackedLinear");
    CHECK((*back)(x) == model(x));
    CHECK(saved_and_loaded(*back)->describe() == model.describe());
  }

  TEST_CASE("a made child of the same type and arguments is kept: a member that holds it stays right") {
    know<Holding>();
    const NoGrad off;
    Holding model;
    const Tensor x = ones({1, 2});
    const ModulePtr back = saved_and_loaded(model);
    CHECK(dynamic_cast<const Holding&>(*back).member() == back->child("fc"));
    CHECK((*back)(x) == model(x));
    const ModulePtr described = parse_architecture(R"({"type": "test.Holding", "modules": [
        {"type": "Linear", "name": "fc", "args": {"in_features": 2, "out_features": 2}}]})");  // bias by default
    CHECK(dynamic_cast<const Holding&>(*described).member() == described->child("fc"));
  }

  TEST_CASE("where a member would go on with the made child, saving and loading refuse") {
    know<Holding>();
    Holding model;
    model.add_module("fc", packed(*model.child("fc")));
    check_refused(model, "'fc' cannot be replaced: test.Holding holds the Linear in a member");
    model.add_module("fc", std::make_shared<Linear>(2, 5));
    check_refused(model, "it should be an nn::Child");
    const std::string said = load(R"({"type": "test.Holding", "modules": [
        {"type": "Linear", "name": "fc", "args": {"in_features": 2, "out_features": 5}}]})",
                                  {{"fc.weight", ones({5, 2})}, {"fc.bias", ones({5})}});
    CAPTURE(said);
    CHECK(said.starts_with("FormatError"));
    CHECK(said.find("holds the Linear in a member") != said.npos);
  }

  TEST_CASE("another type than the class made, or its packed form, is refused: a cast in the program is no hole") {
    know<Digits>();
    Digits model;
    model.add_module("conv1", std::make_shared<Identity>());
    check_refused(model, "'conv1' is a Conv2d, not a Identity");
    const std::string said = load(R"({"type": "test.Digits", "modules": [
        {"type": "PackedLinear", "name": "conv1", "args": {"in_features": 2, "out_features": 2, "format": "csr"}}]})",
                                  {});
    CAPTURE(said);
    CHECK(said.starts_with("FormatError"));
    CHECK(said.find("'conv1' is a Conv2d, not a PackedLinear") != said.npos);
  }

  TEST_CASE("a made child that the model lost is refused; one more of the same type is loaded") {
    know<Digits>();
    Digits model;
    model.slots().erase("conv1");
    check_refused(model, "makes a child 'conv1'");
    model.add_module("conv1", std::make_shared<Conv2d>(1, 2, 2));  // last now
    model.add_module("more", std::make_shared<ReLU>());
    const ModulePtr back = saved_and_loaded(model);
    CHECK(back->describe() == model.describe());
  }

  TEST_CASE("tied, frozen and extended children come back with what they have") {
    know<Odd>();
    const NoGrad off;
    Odd model;
    const Tensor x = ones({1, 2});
    const ModulePtr back = saved_and_loaded(model);
    CHECK((*back)(x) == model(x));
    CHECK_FALSE(back->find_module("c")->tensor("weight").requires_grad());
    CHECK(back->find_module("c")->tensor("scale").item() == 2);
    attach_mask(*model.child("a"), "weight", Tensor::of({{1, 0}, {0, 1}}));
    model.child("c")->requires_grad_(true);
    const ModulePtr pruned = saved_and_loaded(model);
    CHECK((*pruned)(x) == model(x));
    CHECK(pruned->find_module("c")->tensor("weight").requires_grad());
  }

  TEST_CASE("tensors that a file could not bring back are refused before it is written") {
    BatchNorm1d bare(2);
    bare.slots().erase("running_mean");
    check_refused(bare, "'running_mean': a new BatchNorm1d has such a tensor");
    Linear whole(2, 2);
    whole.tensor("weight").replace_(zeros({2, 2}, Dtype::i32));
    check_refused(whole, "'weight' holds int32 where a new Linear has float32");
    const auto layer = packed(Linear(2, 2));
    layer->register_buffer("extra", ones({1}));
    check_refused(*layer, "no place for a member 'extra'");
    layer->slots().erase("extra");
    layer->register_buffer("values", layer->tensor("values"), false);
    check_refused(*layer, "needs a member 'values'");
  }
}
