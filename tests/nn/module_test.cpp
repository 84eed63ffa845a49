#include "coppice/nn/module.h"

#include <doctest/doctest.h>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/slots.h"
#include "coppice/nn/state_dict.h"
#include "scale.h"

using namespace coppice;
using nn::Linear;
using nn::ModulePtr;
using nn::Sequential;
using test::holds, test::Names, test::names_of, test::refusal, test::Scale, test::TwiceOf;

TEST_SUITE("nn/module") {
  TEST_CASE("a child is replaced in its place") {
    Sequential s{std::make_shared<Scale>(1), std::make_shared<Scale>(2)};
    s.add_module("0", std::make_shared<Scale>(5));
    CHECK(names_of(s.children()) == Names{"0", "1"});
    CHECK(s(Tensor::of({1})).item() == 10);
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
    root.at(1)->slots().erase("factor");
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
    root.at(1)->slots().erase("factor");
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
}
