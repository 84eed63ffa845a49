// Fine-tuning a model that a sparsifier prepared: its masks are parametrizations.
#include <doctest/doctest.h>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/training/finetune.h"
#include "coppice/sparsity/training/trainer.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::sparsity;
using nn::Linear;

namespace {

/// Linear(4, 20) with the 30 smallest of 80 weights under a FakeSparsity, and Linear(20, 3) as it is.
std::shared_ptr<nn::Sequential> prepared() {
  manual_seed(0);
  auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<Linear>(4, 20), std::make_shared<nn::ReLU>(), std::make_shared<Linear>(20, 3)});
  const Tensor mask = mask_smallest(model->at(0)->tensor("weight").detach(), 30);
  nn::parametrize::register_parametrization(*model->at(0), "weight", std::make_shared<nn::FakeSparsity>(mask));
  return model;
}

Dataset points(std::int64_t n) {
  Generator g(1);
  const Tensor x = randn({n, 4}, Dtype::f32, &g);
  return make_dataset(x, argmax(narrow(x, 1, 0, 3), 1));
}

std::int64_t zeros_in(const Tensor& t) { return t.numel() - count_nonzero(t); }
const nn::parametrize::ParametrizationList& list_of(const nn::Sequential& model) {
  return nn::parametrize::parametrizations_of(*model.at(0), "weight");
}

}  // namespace

TEST_SUITE("sparsity/training/finetune/fake_sparsity") {
  TEST_CASE("its mask is reported and kept; its original trains densely, and is not masked a second time") {
    const auto model = prepared();
    const Tensor original = list_of(*model).tensor("original"), before = original.detach().clone();
    const Tensor mask = list_of(*model).child("0")->tensor("mask").clone();
    FinetuneOptions o;
    // A weight decay moves even what has no gradient, unless the optimiser has a mask for it.
    o.epochs = 3, o.lr = 0.01, o.weight_decay = 0.1, o.optimizer = FinetuneOptions::Optimizer::adamw;
    const auto all = [](const std::string&, const Tensor& t) { return t.dim() == 2; };
    const FinetuneReport report = finetune(*model, points(60), o, all);
    REQUIRE(report.epochs.size() == 3);
    CHECK(report.epochs[0].sparsity == doctest::Approx(30.0 / 140));
    CHECK(list_of(*model).child("0")->tensor("mask") == mask);
    const Tensor weight = model->at(0)->tensor("weight").detach(), after = original.detach();
    CHECK(zeros_in(weight) == 30);
    for (std::int64_t i = 0; i < 20; ++i)
      for (std::int64_t j = 0; j < 4; ++j) {
        CAPTURE(i);
        CAPTURE(j);
        CHECK((weight.at({i, j}) == 0) == (mask.at({i, j}) == 0));
        CHECK_FALSE(after.at({i, j}) == before.at({i, j}));
        CHECK_FALSE(after.at({i, j}) == 0);
      }
    CHECK(list_of(*model).tensor("original").is(original));
    CHECK_FALSE(list_of(*model).has("original_orig"));
    CHECK(nn::is_masked(*model->at(2), "weight"));
  }

  TEST_CASE("with a wanted sparsity its mask counts and closes further, and never opens") {
    const auto model = prepared();
    const Tensor before = list_of(*model).child("0")->tensor("mask").clone();
    FinetuneOptions o;
    o.epochs = 4, o.sparsity = 0.75;
    const FinetuneReport report = finetune(*model, points(60), o);
    CHECK(report.epochs.back().sparsity == 0.75);
    const Tensor after = list_of(*model).child("0")->tensor("mask");
    CHECK(zeros_in(after) > 30);
    CHECK(count_nonzero(gt(after, before)) == 0);
    CHECK(zeros_in(model->at(0)->tensor("weight")) + zeros_in(model->at(2)->tensor("weight")) == 105);
  }

  TEST_CASE("a mask of bool is raised too") {
    const auto model = prepared();
    model->at(0)->tensor("bias").requires_grad_(true);
    const auto& list = list_of(*model);
    list.child("0")->set_tensor("mask", list.child("0")->tensor("mask").to(Dtype::boolean));
    FinetuneOptions o;
    o.epochs = 2, o.sparsity = 0.5;
    CHECK(finetune(*model, points(40), o).epochs.back().sparsity == 0.5);
    CHECK(list_of(*model).child("0")->tensor("mask").dtype() == Dtype::boolean);
  }

  TEST_CASE("a run that stopped goes on from its checkpoint and ends with the same bytes") {
    const test::TempDir dir;
    FinetuneOptions o;
    o.epochs = 4, o.sparsity = 0.6;
    const auto whole = prepared(), parted = prepared();
    finetune(*whole, points(40), o);
    o.checkpoint = dir / "run.safetensors";
    struct Stop {};
    CHECK_THROWS_AS(finetune(*parted, points(40), o, is_prunable,
                             [](const EpochReport& r) -> bool { return r.epoch < 2 ? true : throw Stop{}; }),
                    Stop);
    finetune(*parted, points(40), o);
    const NamedTensors a = nn::all_tensors(*whole), b = nn::all_tensors(*parted);
    REQUIRE(a.names() == b.names());
    for (const auto& [name, t] : a) CHECK(b.at(name) == t);
  }
}
