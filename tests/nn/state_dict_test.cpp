#include "coppice/nn/state_dict.h"

#include <doctest/doctest.h>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/norm.h"

using namespace coppice;
using nn::Linear;
using Names = std::vector<std::string>;

namespace {

nn::LoadReport refused(nn::Module& m, const NamedTensors& tensors, bool strict) {
  try {
    (void)nn::load_state_dict(m, tensors, strict);
  } catch (const nn::LoadError& e) {
    return e.report;
  }
  FAIL("it was accepted");
  return {};
}

}  // namespace

TEST_SUITE("nn/state_dict") {
  TEST_CASE("own parameters, then persistent buffers, then the children's, all sharing the live numbers") {
    nn::Sequential net{{"norm", std::make_shared<nn::BatchNorm1d>(2)}, {"fc", std::make_shared<Linear>(2, 1)}};
    const NamedTensors d = nn::state_dict(net);
    CHECK(d.names() == Names{"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var",
                             "norm.num_batches_tracked", "fc.weight", "fc.bias"});
    CHECK_FALSE(d.at("fc.weight").requires_grad());
    CHECK(d.at("fc.weight").shares_storage(net.at(1)->tensor("weight")));
    CHECK(nn::state_dict(net, "net").names().front() == "net.norm.weight");
  }

  TEST_CASE("loading copies values into the same tensors; gradients and requires_grad stay") {
    Linear m(2, 1);
    sum(m(ones({1, 2}))).backward();
    m.tensor("bias").requires_grad_(false);
    const Tensor weight = m.tensor("weight"), grad = weight.grad();
    NamedTensors given{{"bias", Tensor::of({3})}, {"weight", Tensor::of({{1, 2}})}};
    CHECK(nn::load_state_dict(m, given).empty());
    CHECK(m.tensor("weight").is(weight));
    CHECK(weight.detach() == Tensor::of({{1, 2}}));
    CHECK_FALSE(weight.shares_storage(given.at("weight")));
    CHECK(weight.grad().is(grad));
    CHECK(weight.requires_grad());
    CHECK_FALSE(m.tensor("bias").requires_grad());
  }

  TEST_CASE("element types are converted to the module's") {
    Linear m(2, 1, false);
    nn::load_state_dict(m, NamedTensors{{"weight", Tensor::of({{1.5, 2}}).to(Dtype::f16)}});
    CHECK(m.tensor("weight").detach() == Tensor::of({{1.5, 2}}));
    nn::load_state_dict(m, NamedTensors{{"weight", Tensor::of({{7, 8}}).to(Dtype::i64)}});
    CHECK(m.tensor("weight").detach() == Tensor::of({{7, 8}}));
  }

  TEST_CASE("a strict load that fails lists everything that is wrong and changes nothing") {
    nn::Sequential net{std::make_shared<Linear>(2, 1), std::make_shared<Linear>(1, 1)};
    const NamedTensors before{{"w", net.at(0)->tensor("weight").detach().clone()}};
    const NamedTensors given{
        {"0.weight", zeros({1, 2})}, {"0.bias", zeros({2})}, {"1.weight", zeros({1, 1})}, {"x", zeros({1})}};
    const nn::LoadReport report = refused(net, given, true);
    CHECK(report.missing == Names{"1.bias"});
    CHECK(report.unexpected == Names{"x"});
    REQUIRE(report.mismatched.size() == 1);
    CHECK(report.mismatched[0].name == "0.bias");
    CHECK(report.mismatched[0].given == Shape{2});
    CHECK(report.mismatched[0].own == Shape{1});
    CHECK(nn::to_string(report) == "missing: '1.bias'\nunexpected: 'x'\nshape of '0.bias': given (2,), own (1,)");
    CHECK(net.at(0)->tensor("weight").detach() == before.at("w"));
  }

  TEST_CASE("a load that is not strict takes what fits and returns the lists; shapes must fit all the same") {
    Linear m(2, 1);
    const nn::LoadReport report =
        nn::load_state_dict(m, NamedTensors{{"weight", Tensor::of({{5, 6}})}, {"x", zeros({1})}}, false);
    CHECK(report.missing == Names{"bias"});
    CHECK(report.unexpected == Names{"x"});
    CHECK(m.tensor("weight").detach() == Tensor::of({{5, 6}}));
    const nn::LoadReport worse =
        refused(m, NamedTensors{{"weight", Tensor::of({{9, 9}})}, {"bias", zeros({1, 1})}}, false);
    CHECK(worse.mismatched.size() == 1);
    CHECK(m.tensor("weight").detach() == Tensor::of({{5, 6}}));
  }

  TEST_CASE("a tensor of shape (1,) goes into a 0-d one, not the reverse") {
    nn::BatchNorm1d m(1);
    NamedTensors given = nn::state_dict(*m.clone());
    given.set("num_batches_tracked", full({1}, 7, Dtype::i64));
    nn::load_state_dict(m, given);
    CHECK(m.tensor("num_batches_tracked").item<std::int64_t>() == 7);
    given.set("weight", Tensor::of(1));
    CHECK(refused(m, given, true).mismatched.size() == 1);
  }

  TEST_CASE("num_batches_tracked may be missing, as in old checkpoints") {
    nn::BatchNorm1d m(1);
    NamedTensors given = nn::state_dict(*m.clone());
    given.erase("num_batches_tracked");
    CHECK(nn::load_state_dict(m, given).empty());
    given.erase("running_var");
    CHECK(refused(m, given, true).missing == Names{"running_var"});
  }

  TEST_CASE("a state dict loads into the module that it shares its numbers with") {
    Linear m(3, 2);
    const Tensor before = m.tensor("weight").detach().clone();
    nn::load_state_dict(m, nn::state_dict(m));
    CHECK(m.tensor("weight").detach() == before);
  }
}
