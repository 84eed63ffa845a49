#include "coppice/nn/module.h"

#include <doctest/doctest.h>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/state_dict.h"

using namespace coppice;
using nn::Linear;
using nn::ModulePtr;
using nn::Sequential;

namespace {

/// A module of a user's: x * factor, with a slot of every kind to play with.
class Scale final : public nn::Implements<Scale> {
 public:
  static constexpr std::string_view kType = "Scale";
  explicit Scale(double factor = 1) { register_parameter("factor", Tensor::of(factor)); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x * tensor("factor"); }
};

/// A derived tensor: twice another one.
class Twice final : public nn::Derived {
 public:
  explicit Twice(std::string of) : of_(std::move(of)) {}
  [[nodiscard]] Tensor value(const nn::Module& owner) const override { return owner.tensor(of_) * 2; }
  [[nodiscard]] std::shared_ptr<Derived> clone() const override { return std::make_shared<Twice>(of_); }

 private:
  std::string of_;
};

using Names = std::vector<std::string>;
template <class List>
Names names_of(const List& list) {
  Names out;
  for (const auto& entry : list) out.push_back(entry.first);
  return out;
}

/// What `call` says as it throws E; "" when it does not.
template <class E, class F>
std::string refusal(F&& call) {
  try {
    call();
  } catch (const E& e) {
    return e.what();
  }
  return {};
}
bool holds(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace

TEST_SUITE("nn/module") {
  TEST_CASE("slots keep the order of registration, and an empty slot is listed nowhere") {
    Scale m;
    m.register_parameter("bias", Tensor());
    m.register_parameter("shift", Tensor::of({1, 2}));
    m.register_buffer("steps", zeros(Shape{}, Dtype::i64));
    m.register_buffer("cache", Tensor::of(5), false);
    CHECK(names_of(m.named_parameters()) == Names{"factor", "shift"});
    CHECK(names_of(m.named_buffers()) == Names{"steps", "cache"});
    CHECK(names_of(nn::state_dict(m)) == Names{"factor", "shift", "steps"});
    CHECK(m.has("bias"));
    CHECK_FALSE(m.find_tensor("bias").defined());
    CHECK(holds(refusal<KeyError>([&] { (void)m.tensor("bias"); }), "'factor', 'bias', 'shift', 'steps', 'cache'"));
    CHECK_FALSE(m.is_persistent("cache"));
    m.register_buffer("steps", zeros({2}));  // a new value keeps the place
    CHECK(names_of(m.named_buffers()) == Names{"steps", "cache"});
  }

  TEST_CASE("a parameter is the very tensor that was given, and requires grad if it floats") {
    Scale m;
    const Tensor given = Tensor::of({1, 2}), whole = zeros({2}, Dtype::i64);
    m.register_parameter("p", given);
    m.register_parameter("i", whole);
    CHECK(m.tensor("p").is(given));
    CHECK(given.requires_grad());
    CHECK_FALSE(m.tensor("i").requires_grad());
    CHECK_THROWS_AS(m.register_parameter("q", given * 2), ValueError);  // made by an operation
    CHECK_FALSE(m.has("q"));
  }

  TEST_CASE("a name must be new, not empty, without a dot") {
    Scale m;
    m.register_buffer("b", Tensor::of(1));
    m.register_parameter("none", Tensor());
    m.add_module("c", std::make_shared<Scale>());
    m.set_tensor("plain", Tensor::of(1));
    m.register_derived("d", std::make_shared<Twice>("factor"));
    for (const char* name : {"", "a.b", ".", "factor", "none", "b", "c", "plain", "d"}) {
      CAPTURE(name);
      CHECK_THROWS_AS(m.register_parameter(name, Tensor::of(1)), KeyError);
      CHECK_THROWS_AS(m.register_derived(name, std::make_shared<Twice>("b")), KeyError);
      if (std::string_view(name) != "b") CHECK_THROWS_AS(m.register_buffer(name, Tensor::of(1)), KeyError);
      if (std::string_view(name) != "c") CHECK_THROWS_AS(m.add_module(name, std::make_shared<Scale>()), KeyError);
    }
    CHECK_THROWS_AS(m.add_module("new", nullptr), ValueError);
    CHECK(names_of(m.own_parameters()) == Names{"factor", "none"});
    CHECK(names_of(m.children()) == Names{"c"});
    CHECK(m.tensor("d").item() == 2);
  }

  TEST_CASE("a child is replaced in its place") {
    Sequential s{std::make_shared<Scale>(1), std::make_shared<Scale>(2)};
    s.add_module("0", std::make_shared<Scale>(5));
    CHECK(names_of(s.children()) == Names{"0", "1"});
    CHECK(s(Tensor::of({1})).item() == 10);
  }

  TEST_CASE("erase takes a name out of whichever map holds it; a name that returns goes to the end") {
    Scale m;
    m.register_parameter("p", Tensor::of(1));
    m.register_parameter("q", Tensor::of(1));
    m.register_buffer("b", Tensor::of(1), false);
    m.add_module("c", std::make_shared<Scale>());
    m.set_tensor("t", Tensor::of(1));
    m.register_derived("d", std::make_shared<Twice>("p"));
    for (const char* name : {"p", "b", "c", "t", "d"}) {
      m.erase(name);
      CHECK_FALSE(m.has(name));
      CHECK_THROWS_AS(m.erase(name), KeyError);
    }
    m.register_parameter("p", Tensor::of(1));
    CHECK(names_of(m.own_parameters()) == Names{"factor", "q", "p"});
    m.register_buffer("b", Tensor::of(1));
    CHECK(m.is_persistent("b"));
  }

  TEST_CASE("plain tensors are read like others, and neither trained nor saved") {
    Scale m;
    m.set_tensor("t", Tensor::of({1, 2}));
    m.set_tensor("t", Tensor::of({3}));
    CHECK(m.tensor("t") == Tensor::of({3}));
    CHECK(m.parameters().size() == 1);
    CHECK(nn::state_dict(m).size() == 1);
    CHECK_THROWS_AS(m.set_tensor("factor", Tensor::of(1)), TypeError);
    m.register_buffer("b", Tensor::of(1));
    m.set_tensor("b", Tensor::of(7));  // a buffer stays a buffer
    CHECK(nn::state_dict(m).at("b").item() == 7);
  }

  TEST_CASE("a derived tensor is computed on every reading, and can be exchanged") {
    Scale m(3);
    m.register_derived("d", std::make_shared<Twice>("factor"));
    CHECK(m.tensor("d").item() == 6);
    NoGrad off;
    m.tensor("factor").fill_(5);
    CHECK(m.tensor("d").item() == 10);
    m.register_buffer("b", Tensor::of(1));
    m.replace_derived("d", std::make_shared<Twice>("b"));
    CHECK(m.tensor("d").item() == 2);
    CHECK_THROWS_AS(m.replace_derived("factor", std::make_shared<Twice>("b")), KeyError);
  }

  TEST_CASE("a renamed parameter stays the same tensor and goes where it is told") {
    Scale m;
    m.register_parameter("a", Tensor::of(1));
    m.register_parameter("b", Tensor::of(2));
    const Tensor factor = m.tensor("factor");
    m.rename_parameter("factor", "factor_orig");
    CHECK(names_of(m.own_parameters()) == Names{"a", "b", "factor_orig"});
    m.rename_parameter("factor_orig", "factor", 0);
    CHECK(names_of(m.own_parameters()) == Names{"factor", "a", "b"});
    CHECK(m.tensor("factor").is(factor));
    CHECK_THROWS_AS(m.rename_parameter("nothing", "x"), KeyError);
    CHECK_THROWS_AS(m.rename_parameter("a", "b"), KeyError);
    CHECK_THROWS_AS(m.rename_parameter("a", "b.c"), KeyError);
    CHECK(names_of(m.own_parameters()) == Names{"factor", "a", "b"});
  }

  TEST_CASE("trees are walked in pre-order; what is shared is listed once, and saved under every path") {
    const auto shared = std::make_shared<Scale>(2);
    Sequential root{
        {"first", shared},
        {"inner", std::make_shared<Sequential>(std::initializer_list<ModulePtr>{std::make_shared<Scale>(3), shared})}};
    CHECK(names_of(root.named_modules()) == Names{"", "first", "inner", "inner.0"});
    CHECK(names_of(root.named_modules("net")) == Names{"net", "net.first", "net.inner", "net.inner.0"});
    CHECK(names_of(root.named_parameters()) == Names{"first.factor", "inner.0.factor"});
    CHECK(names_of(root.named_parameters("net")) == Names{"net.first.factor", "net.inner.0.factor"});
    CHECK(names_of(nn::state_dict(root)) == Names{"first.factor", "inner.0.factor", "inner.1.factor"});
    CHECK(root(Tensor::of({1})).item() == 12);
  }

  TEST_CASE("a tensor in two slots is one parameter") {
    Sequential root{std::make_shared<Scale>(1), std::make_shared<Scale>(2)};
    root.at(1)->erase("factor");
    root.at(1)->register_parameter("factor", root.at(0)->tensor("factor"));
    CHECK(root.parameters().size() == 1);
    CHECK(nn::state_dict(root).size() == 2);
    sum(root(Tensor::of({3}))).backward();  // 3 f²
    CHECK(root.parameters()[0].grad().item() == 6);
  }

  TEST_CASE("find_module follows dotted paths") {
    Sequential root{std::make_shared<Sequential>(std::initializer_list<ModulePtr>{std::make_shared<Scale>(3)})};
    CHECK(root.find_module("") == &root);
    REQUIRE(root.find_module("0.0") != nullptr);
    CHECK(root.find_module("0.0")->type_name() == "Scale");
    for (const char* path : {"1", "0.1", "0.0.0", "factor", ".", ".0", "0..0"}) {
      CAPTURE(path);
      CHECK(root.find_module(path) == nullptr);
    }
    CHECK(holds(refusal<KeyError>([&] { (void)root.child("7"); }), "it has '0'"));
  }

  TEST_CASE("train and eval reach every module below") {
    Sequential root{std::make_shared<Sequential>(std::initializer_list<ModulePtr>{std::make_shared<Scale>(3)})};
    CHECK(root.training());
    root.eval();
    for (const auto& [path, module] : root.named_modules()) CHECK_FALSE(module->training());
    root.at(0)->train();
    CHECK_FALSE(root.training());
    CHECK(root.find_module("0.0")->training());
  }

  TEST_CASE("train visits what is shared once, and takes no memory for it") {
    static_assert(noexcept(std::declval<nn::Module&>().train())&& noexcept(std::declval<nn::Module&>().eval()));
    ModulePtr twice = std::make_shared<Scale>();
    for (int i = 0; i < 60; ++i) twice = std::make_shared<Sequential>(std::initializer_list<ModulePtr>{twice, twice});
    twice->eval();  // 2^60 paths
    for (const auto& [path, module] : twice->named_modules()) CHECK_FALSE(module->training());
    const ModulePtr copy = twice->clone();
    copy->train();
    for (const auto& [path, module] : copy->named_modules()) CHECK(module->training());
    CHECK_FALSE(twice->training());
  }

  TEST_CASE("parameters take the order that they are given") {
    Linear m(2, 2);
    m.register_parameter("a", Tensor::of(1));
    m.order_parameters({"bias", "weight"});
    CHECK(names_of(m.own_parameters()) == Names{"a", "bias", "weight"});
    CHECK_THROWS_AS(m.order_parameters({"a", "a"}), KeyError);
    CHECK_THROWS_AS(m.order_parameters({"weight", "b"}), KeyError);
    CHECK(names_of(m.own_parameters()) == Names{"a", "bias", "weight"});
  }

  TEST_CASE("zero_grad drops gradients, or fills them with zeros") {
    Scale m(2);
    sum(m(Tensor::of({1, 2}))).backward();
    CHECK(m.tensor("factor").grad().item() == 3);
    m.zero_grad(false);
    CHECK(m.tensor("factor").grad().item() == 0);
    m.zero_grad();
    CHECK_FALSE(m.tensor("factor").grad().defined());
  }

  TEST_CASE("requires_grad_ switches all floating parameters") {
    Linear m(2, 2);
    m.requires_grad_(false);
    CHECK_FALSE(m(ones({1, 2})).requires_grad());
    m.requires_grad_(true);
    CHECK(m(ones({1, 2})).requires_grad());
  }

  TEST_CASE("to converts floating parameters and buffers in place; integers stay") {
    nn::BatchNorm1d m(2);
    const Tensor weight = m.tensor("weight");
    m.to(Dtype::f64);
    CHECK(m.tensor("weight").is(weight));
    CHECK(weight.dtype() == Dtype::f64);
    CHECK(weight.requires_grad());
    CHECK(m.tensor("running_mean").dtype() == Dtype::f64);
    CHECK(m.tensor("num_batches_tracked").dtype() == Dtype::i64);
    CHECK(m(ones({3, 2}, Dtype::f64)).dtype() == Dtype::f64);
    CHECK_THROWS_AS(m.to(Dtype::i32), DtypeError);
  }

  TEST_CASE("to converts gradients with their parameters, as PyTorch") {
    Linear m(2, 1);
    sum(m(Tensor::of({{1, 2}}))).backward();
    m.to(Dtype::f64);
    CHECK(m.tensor("weight").grad() == Tensor::of({{1, 2}}).to(Dtype::f64));
    CHECK(m.tensor("bias").grad() == Tensor::of({1}).to(Dtype::f64));
    sum(m(ones({1, 2}, Dtype::f64))).backward();
    CHECK(m.tensor("weight").grad() == Tensor::of({{2, 3}}).to(Dtype::f64));
    m.to(Dtype::f64);
    m.to(Dtype::f32);
    CHECK(m.tensor("weight").grad() == Tensor::of({{2, 3}}));
  }

  TEST_CASE("calling with the wrong number of tensors is a ValueError") {
    const Scale m;
    CHECK_THROWS_AS((void)m(TensorList{}), ValueError);
    CHECK_THROWS_AS((void)m(TensorList{Tensor::of(1), Tensor::of(2)}), ValueError);
    CHECK_THROWS_AS((void)Sequential()(TensorList{}).at(0), std::out_of_range);
  }

  TEST_CASE("describe shows types, arguments and names") {
    const Sequential root{{"fc", std::make_shared<Linear>(2, 3)}, {"act", std::make_shared<Scale>()}};
    CHECK(root.describe() ==
          "Sequential(\n  (fc): Linear(in_features=2, out_features=3, bias=True)\n  (act): Scale()\n)");
  }
}

TEST_SUITE("nn/module/clone") {
  TEST_CASE("a clone has its own numbers, no gradients, the same mode and the same settings") {
    Linear m(2, 2);
    m.register_buffer("b", Tensor::of({1, 2}), false);
    m.set_tensor("plain", Tensor::of(3));
    m.tensor("bias").requires_grad_(false);
    sum(m(ones({1, 2}))).backward();
    m.eval();
    const ModulePtr copy = m.clone();
    CHECK(copy->type_name() == "Linear");
    CHECK_FALSE(copy->training());
    CHECK_FALSE(copy->is_persistent("b"));
    CHECK(copy->tensor("plain").item() == 3);
    CHECK(copy->tensor("weight") == m.tensor("weight"));
    CHECK(copy->tensor("weight").requires_grad());
    CHECK_FALSE(copy->tensor("bias").requires_grad());
    CHECK_FALSE(copy->tensor("weight").grad().defined());
    for (const char* name : {"weight", "bias", "b", "plain"}) {
      CAPTURE(name);
      CHECK_FALSE(copy->tensor(name).shares_storage(m.tensor(name)));
    }
    NoGrad off;
    copy->tensor("weight").fill_(7);
    CHECK_FALSE(m.tensor("weight") == copy->tensor("weight"));
  }

  TEST_CASE("what is shared inside stays shared inside the copy, and with nobody else") {
    const auto shared = std::make_shared<Scale>(2);
    Sequential root{shared, std::make_shared<Scale>(3), shared};
    root.at(1)->erase("factor");
    root.at(1)->register_parameter("factor", shared->tensor("factor"));
    const ModulePtr copy = root.clone();
    CHECK(copy->child("0") == copy->child("2"));
    CHECK(copy->child("0") != root.child("0"));
    CHECK(copy->child("0")->tensor("factor").is(copy->child("1")->tensor("factor")));
    CHECK(copy->parameters().size() == 1);
    NoGrad off;
    copy->parameters()[0].fill_(10);
    CHECK((*copy)(Tensor::of({1})).item() == 1000);
    CHECK(root(Tensor::of({1})).item() == 8);
  }

  TEST_CASE("derived tensors are computed from the copy's own tensors") {
    Scale m(3);
    m.register_derived("d", std::make_shared<Twice>("factor"));
    const ModulePtr copy = m.clone();
    NoGrad off;
    copy->tensor("factor").fill_(10);
    CHECK(copy->tensor("d").item() == 20);
    CHECK(m.tensor("d").item() == 6);
  }
}
