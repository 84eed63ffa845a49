#include "coppice/sparsity/training/finetune.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/create.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "coppice/nn.h"
#include "coppice/sparsity/mask_ops.h"

using namespace coppice;
using namespace coppice::sparsity;
using nn::Linear;

namespace {

std::shared_ptr<nn::Sequential> net(std::uint64_t seed = 0) {
  manual_seed(seed);
  return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<Linear>(4, 20), std::make_shared<nn::ReLU>(), std::make_shared<Linear>(20, 3)});
}

/// Points in four dimensions; the class is the largest of the first three.
Dataset points(std::int64_t n) {
  Generator g(1);
  const Tensor x = randn({n, 4}, Dtype::f32, &g);
  return make_dataset(x, argmax(narrow(x, 1, 0, 3), 1));
}

std::int64_t zeros_in(const Tensor& t) { return t.numel() - count_nonzero(t); }

bool same(const nn::Module& a, const nn::Module& b) {
  const NamedTensors x = nn::state_dict(a), y = nn::state_dict(b);
  if (x.names() != y.names()) return false;
  for (const auto& [name, t] : x)
    if (!std::equal(t.bytes(), t.bytes() + t.nbytes(), y.at(name).bytes())) return false;
  return true;
}

}  // namespace

TEST_SUITE("sparsity/training/finetune") {
  TEST_CASE("what cannot be trained on is refused before training, with the name of what is wrong") {
    const auto model = net();
    FinetuneOptions o;
    o.validation = 0.9;
    CHECK_THROWS_WITH_AS(finetune(*model, points(3), o), doctest::Contains("leaves no sample to train on"), ValueError);
    o = {};
    o.sparsity = 0.5;
    CHECK_THROWS_WITH_AS(finetune(*model, points(20), o, [](const std::string&, const Tensor&) { return false; }),
                         doctest::Contains("no weight is chosen"), ValueError);
    o = {};
    Dataset bad = points(20);
    bad.x.set_({0, 0}, NAN);
    CHECK_THROWS_WITH_AS(finetune(*model, bad, o), doctest::Contains("the data holds nan"), ValueError);
    const NoGrad off;
    model->at(2)->tensor("weight").set_({0, 0}, -INFINITY);
    CHECK_THROWS_WITH_AS(finetune(*model, points(20), o), doctest::Contains("'2.weight' holds -inf"), ValueError);
  }

  TEST_CASE("a class that the model has not is named by its place in the data, before anything is trained") {
    const auto model = net(), before = net();
    Dataset bad = points(40);
    bad.y.set_({17}, 3);
    CHECK_THROWS_WITH_AS(finetune(*model, bad, {}), "[dataset] class 3 of sample 17 is outside 0..2", IndexError);
    CHECK(same(*model, *before));
  }

  TEST_CASE("without empty masks they are where masks or zeros were, or where something was pruned, and nowhere else") {
    FinetuneOptions o;
    o.epochs = 2, o.empty_masks = false;
    const auto masks_after = [&](nn::Sequential& model) {
      finetune(model, points(60), o);
      std::vector<std::string> out;
      for (const nn::MaskedSlot& s : nn::masked_slots(model)) out.push_back(s.path);
      return out;
    };
    const auto dense = net();
    CHECK(masks_after(*dense).empty());
    CHECK(nn::state_dict(*dense).names() == nn::state_dict(*net()).names());
    const auto first = net();
    nn::attach_mask(*first->at(0), "weight", mask_smallest(first->at(0)->tensor("weight"), 40));
    CHECK(masks_after(*first) == std::vector<std::string>{"0.weight"});
    const auto whole = net();
    nn::attach_mask(*whole->at(2), "weight", ones({3, 20}));  // it was there, though it masks nothing
    CHECK(masks_after(*whole) == std::vector<std::string>{"2.weight"});
    const auto zero = net();
    {
      const NoGrad off;
      zero->at(2)->tensor("weight").set_({1, 1}, 0);
    }
    CHECK(masks_after(*zero) == std::vector<std::string>{"2.weight"});
    o.sparsity = 0.5;
    CHECK(masks_after(*net()) == std::vector<std::string>{"0.weight", "2.weight"});
  }

  TEST_CASE("a batch of any size is as good as one of all samples") {
    FinetuneOptions o;
    o.epochs = 2, o.batch = INT64_MAX;
    const auto all = net(), more = net();
    finetune(*more, points(20), o);
    o.batch = 20;
    finetune(*all, points(20), o);
    CHECK(same(*all, *more));
  }

  TEST_CASE("a ramp over the most epochs begins like any other") {
    FinetuneOptions o;
    o.epochs = kMostEpochs, o.ramp = 1, o.batch = 1, o.sparsity = 0.5;
    const auto model = net();
    const auto stop = [](const EpochReport&) { return false; };
    const FinetuneReport report = finetune(*model, points(20), o, is_prunable, stop);
    REQUIRE(report.epochs.size() == 1);
    CHECK(report.epochs[0].sparsity < 0.01);
  }

  TEST_CASE("existing zeros stay zero under every optimiser, other weights move, biases are free") {
    using Optimizer = FinetuneOptions::Optimizer;
    for (const Optimizer optimizer : {Optimizer::adam, Optimizer::adamw, Optimizer::sgd}) {
      const auto model = net();
      Tensor w = model->at(0)->tensor("weight");
      {
        const NoGrad off;
        w.copy_(nn::apply_mask(w, mask_smallest(w, 60)));
      }
      const Tensor before = w.detach().clone();
      FinetuneOptions o;
      o.epochs = 3, o.optimizer = optimizer, o.lr = 0.01, o.weight_decay = 0.01;
      const FinetuneReport report = finetune(*model, points(100), o);
      CHECK(report.epochs.size() == 3);
      CHECK(report.epochs[0].sparsity == doctest::Approx(60.0 / 140));
      const Tensor after = model->at(0)->tensor("weight").detach();
      CHECK(zeros_in(after) == 60);
      CHECK_FALSE(after == before);
      for (std::int64_t i = 0; i < 20; ++i)
        for (std::int64_t j = 0; j < 4; ++j)
          if (before.at({i, j}) == 0) CHECK(after.at({i, j}) == 0);
      CHECK(nn::is_masked(*model->at(0), "weight"));
      CHECK_FALSE(nn::is_masked(*model->at(0), "bias"));
      CHECK_FALSE(model->training());
      CHECK(model->at(0)->tensor("weight_orig").is(w));  // the caller's tensor
      CHECK_FALSE(w.grad().defined());
    }
  }

  TEST_CASE("a mask that is there is kept, zero originals or not") {
    const auto model = net();
    const Tensor mask = mask_smallest(model->at(0)->tensor("weight"), 30);
    nn::attach_mask(*model->at(0), "weight", mask);
    FinetuneOptions o;
    o.epochs = 2;
    finetune(*model, points(60), o);
    CHECK(model->at(0)->tensor("weight_mask") == mask);
    CHECK(zeros_in(model->at(0)->tensor("weight")) == 30);
  }

  TEST_CASE("the sparsity is reached exactly, rises on the way, and no mask ever opens again") {
    const auto model = net();
    FinetuneOptions o;
    o.epochs = 8, o.batch = 10, o.sparsity = 0.75, o.patience = 0;
    std::vector<double> path;
    const FinetuneReport report = finetune(*model, points(200), o, is_prunable, [&](const EpochReport& r) {
      path.push_back(r.sparsity);
      return true;
    });
    CHECK(zeros_in(model->at(0)->tensor("weight")) + zeros_in(model->at(2)->tensor("weight")) == 105);  // of 140
    CHECK(std::ranges::is_sorted(path));
    CHECK(path[0] > 0.1);
    CHECK(path[0] < 0.75);
    CHECK(path[3] == 0.75);  // ramp 0.5
    for (std::size_t i = 0; i < 3; ++i) CHECK_FALSE(report.epochs[i].best);
    CHECK(report.best_epoch >= 4);
    CHECK(zeros_in(model->at(0)->tensor("bias")) == 0);
  }

  TEST_CASE("a run shorter than its ramp still ends at the sparsity") {
    const auto model = net();
    FinetuneOptions o;
    o.epochs = 1, o.ramp = 1, o.batch = 1000, o.sparsity = 0.5;
    CHECK(finetune(*model, points(50), o).epochs.back().sparsity == 0.5);
  }

  TEST_CASE("only what the filter takes is pruned") {
    const auto model = net();
    FinetuneOptions o;
    o.epochs = 2, o.sparsity = 0.5;
    finetune(*model, points(50), o, [](const std::string& path, const Tensor&) { return path == "2.weight"; });
    CHECK(zeros_in(model->at(0)->tensor("weight")) == 0);
    CHECK(zeros_in(model->at(2)->tensor("weight")) == 30);
    o.sparsity.reset();
    const auto none = net();
    CHECK(finetune(*none, points(50), o, [](auto&, auto&) { return false; }).epochs.back().sparsity == 0);
  }

  TEST_CASE("is_prunable: floating, two axes, a last name that starts with weight") {
    const Tensor w = ones({2, 2});
    CHECK(is_prunable("weight", w));
    CHECK(is_prunable("lstm.weight_ih_l0", w));
    CHECK_FALSE(is_prunable("weight.bias", w));
    CHECK_FALSE(is_prunable("0.bias", w));
    CHECK_FALSE(is_prunable("weigh", w));
    CHECK_FALSE(is_prunable("0.weight", ones({2})));
    CHECK_FALSE(is_prunable("0.weight", w.to(Dtype::i64)));
  }

  TEST_CASE("a loss that is not finite leaves the model as it was") {
    for (const bool masked : {false, true}) {
      const auto model = net();
      if (masked) nn::attach_mask(*model->at(0), "weight", mask_smallest(model->at(0)->tensor("weight"), 10));
      const nn::ModulePtr before = model->clone();
      model->train();
      FinetuneOptions o;
      o.epochs = 20, o.lr = 1e30, o.optimizer = FinetuneOptions::Optimizer::sgd, o.sparsity = 0.5, o.patience = 0;
      CHECK_THROWS_WITH_AS(finetune(*model, points(200), o), doctest::Contains("smaller lr"), ValueError);
      CHECK(same(*model, *before));
      CHECK(model->training());
      CHECK(nn::is_masked(*model->at(0), "weight") == masked);
    }
    const auto model = net();
    Dataset data = points(50);
    for (std::int64_t i = 0; i < 50; i += 5) data.x.set_({i, 0}, std::nan(""));
    const nn::ModulePtr before = model->clone();
    CHECK_THROWS_AS(finetune(*model, data, {}), ValueError);
    CHECK(same(*model, *before));
  }

  TEST_CASE("an exception from the progress function leaves the model as it was too") {
    const auto model = net();
    const nn::ModulePtr before = model->clone();
    struct Stop {};
    CHECK_THROWS_AS(finetune(*model, points(50), {}, is_prunable, [](auto&) -> bool { throw Stop{}; }), Stop);
    CHECK(same(*model, *before));
  }

  TEST_CASE("early stop: when nothing gets better, or when the caller says so") {
    const auto model = net();
    FinetuneOptions o;
    o.epochs = 50, o.lr = 0, o.patience = 3;
    const FinetuneReport still = finetune(*model, points(100), o);
    CHECK(still.stopped_early);
    CHECK(still.epochs.size() == 4);
    CHECK(still.best_epoch == 1);
    o.patience = 0;
    o.epochs = 6;
    CHECK_FALSE(finetune(*model, points(100), o).stopped_early);
    const FinetuneReport told =
        finetune(*model, points(100), o, is_prunable, [](const EpochReport& r) { return r.epoch < 2; });
    CHECK(told.stopped_early);
    CHECK(told.epochs.size() == 2);
  }

  TEST_CASE("the model holds the best epoch, not the last") {
    const auto model = net();
    const Dataset data = points(120);
    FinetuneOptions o;
    o.epochs = 12, o.lr = 0.3, o.validation = 0, o.patience = 0;  // a rate that jumps about
    const FinetuneReport report = finetune(*model, data, o);
    const EpochReport& best = report.epochs[static_cast<std::size_t>(report.best_epoch - 1)];
    for (const EpochReport& r : report.epochs) CHECK(r.validation.correct <= best.validation.correct);
    const Evaluation now = evaluate(*model, data);
    CHECK(now.correct == best.validation.correct);
    CHECK(now.loss == best.validation.loss);
  }

  TEST_CASE("equal seeds give equal bytes for 1, 2 and 7 threads; another seed does not") {
    const int before = num_threads();
    const auto trained = [](int threads, std::uint64_t seed) {
      set_num_threads(threads);
      const auto model = net();
      FinetuneOptions o;
      o.epochs = 3, o.seed = seed, o.sparsity = 0.5;
      finetune(*model, points(150), o);
      return model;
    };
    const auto one = trained(1, 5);
    CHECK(same(*trained(2, 5), *one));
    CHECK(same(*trained(7, 5), *one));
    CHECK_FALSE(same(*trained(1, 6), *one));
    set_num_threads(before);
  }

  TEST_CASE("dropout does not take a run off its seed") {
    const auto trained = [] {
      manual_seed(3);
      const auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
          std::make_shared<Linear>(4, 8), std::make_shared<nn::Dropout>(0.5), std::make_shared<Linear>(8, 3)});
      manual_seed(99);  // whatever was drawn before
      (void)rand({17});
      FinetuneOptions o;
      o.epochs = 2;
      finetune(*model, points(60), o);
      return model;
    };
    const auto first = trained();
    (void)rand({5});
    CHECK(same(*trained(), *first));
  }

  TEST_CASE("options out of range") {
    const auto model = net();
    const Dataset data = points(20);
    const auto refused = [&](auto change) {
      FinetuneOptions o;
      change(o);
      CHECK_THROWS_AS(finetune(*model, data, o), ValueError);
    };
    refused([](auto& o) { o.epochs = 0; });
    refused([](auto& o) { o.epochs = kMostEpochs + 1; });
    refused([](auto& o) { o.epochs = INT64_MAX, o.ramp = 1, o.sparsity = 0.5; });
    refused([](auto& o) { o.batch = 0; });
    refused([](auto& o) { o.lr = -1; });
    refused([](auto& o) { o.momentum = -1, o.optimizer = FinetuneOptions::Optimizer::sgd; });
    refused([](auto& o) { o.validation = 1; });
    refused([](auto& o) { o.validation = std::nan(""); });
    refused([](auto& o) { o.patience = -1; });
    refused([](auto& o) { o.ramp = 0; });
    refused([](auto& o) { o.sparsity = 1.1; });
    refused([](auto& o) { o.updates_per_epoch = 0; });
    CHECK_THROWS_AS(finetune(*model, data.subset({0}), {}), ValueError);
    CHECK_FALSE(nn::is_masked(*model->at(0), "weight"));
  }
}
