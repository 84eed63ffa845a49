// Fine-tuning where a sparsifier chooses: in blocks, in patterns, by a list of groups, along any curve.
#include <algorithm>
#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/prunables.h"
#include "coppice/sparsity/training/finetune.h"
#include "engine/io/io_support.h"
#include "sparsity/training/points.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::sparsity;
using nn::Linear;

namespace {

/// Weights of 64x4, 64x64 and 3x64.
std::shared_ptr<nn::Sequential> net() {
  manual_seed(0);
  return std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{
      std::make_shared<Linear>(4, 64), std::make_shared<nn::ReLU>(), std::make_shared<Linear>(64, 64),
      std::make_shared<nn::ReLU>(), std::make_shared<Linear>(64, 3)});
}
constexpr std::int64_t kAll = 64 * 4 + 64 * 64 + 3 * 64;

Dataset points(std::int64_t n = 100) { return test::points(n, 4, 3); }

FinetuneOptions options() {
  FinetuneOptions o;
  o.epochs = 6, o.batch = 16, o.lr = 0.01, o.patience = 0;
  return o;
}
FinetuneOptions blocks(double sparsity, Block block) {
  FinetuneOptions o = options();
  o.sparsity = sparsity, o.block = block;
  return o;
}
FinetuneOptions pattern(std::int64_t n, std::int64_t m) {
  FinetuneOptions o = options();
  o.pattern = Pattern{n, m};
  return o;
}

Tensor weight(const nn::Module& model, const char* layer) { return model.child(layer)->tensor("weight").detach(); }
std::int64_t zeros_in(const Tensor& t) { return t.numel() - count_nonzero(t); }

/// Whether blocks of rows x 1 are all zero or have no zero.
bool in_columns(const Tensor& t, std::int64_t rows) {
  for (std::int64_t r = 0; r < t.size(0); r += rows)
    for (std::int64_t c = 0; c < t.size(1); ++c) {
      std::int64_t zeros = 0;
      for (std::int64_t i = r; i < r + rows; ++i) zeros += t.at({i, c}) == 0 ? 1 : 0;
      if (zeros != 0 && zeros != rows) return false;
    }
  return true;
}

/// Computes with a weight that is another's too.
class SameWeight final : public nn::Implements<SameWeight> {
 public:
  static constexpr std::string_view kType = "SameWeight";
  explicit SameWeight(const Tensor& weight) { register_parameter("weight", weight); }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return linear(x, tensor("weight"), Tensor()); }
};

struct Crash {};

}  // namespace

TEST_SUITE("sparsity/training/finetune/sparsifier") {
  TEST_CASE("blocks of all weights together; what is too narrow stays dense, is named, and is made up for") {
    const auto model = net();
    const Tensor original = model->at(2)->tensor("weight");
    const FinetuneReport report = finetune(*model, points(), blocks(0.75, {16, 1}));
    CHECK(zeros_in(weight(*model, "0")) + zeros_in(weight(*model, "2")) == kAll * 3 / 4);  // a multiple of 16
    CHECK(zeros_in(weight(*model, "4")) == 0);
    CHECK(in_columns(weight(*model, "0"), 16));
    CHECK(in_columns(weight(*model, "2"), 16));
    CHECK(report.epochs.back().sparsity == 0.75);
    REQUIRE(report.layers.size() == 3);
    CHECK(report.layers[0] == LayerReport{"0.weight", 256, zeros_in(weight(*model, "0")), ""});
    CHECK(report.layers[1] == LayerReport{"2.weight", 4096, zeros_in(weight(*model, "2")), ""});
    CHECK(report.layers[2] == LayerReport{"4.weight", 192, 0, "too narrow for blocks of 16x1: it has 3 outputs"});
    // Masks of the usual family on the same parameter, pruned entries +0.
    CHECK(nn::is_masked(*model->at(2), "weight"));
    CHECK(model->at(2)->tensor("weight_orig").is(original));
    CHECK(model->at(2)->tensor("weight_mask").dtype() == Dtype::f32);
    for (const float value : original.detach().to_vector<float>()) CHECK_FALSE((value == 0 && std::signbit(value)));
    CHECK_FALSE(model->training());
  }

  TEST_CASE("n of m; what m does not divide stays dense") {
    for (const char* sparsity : {"", "given"}) {
      const auto model = net();
      model->add_module("4", std::make_shared<Linear>(64, 3));
      FinetuneOptions o = pattern(2, 8);
      if (*sparsity != 0) o.sparsity = 0.75;
      const FinetuneReport report = finetune(*model, points(), o);
      CHECK(report.layers[0].dense_because == "2:8 does not divide its rows of 4");
      CHECK(zeros_in(weight(*model, "0")) == 0);
      const Tensor runs = weight(*model, "2").reshape({512, 8});
      for (std::int64_t r = 0; r < 512; ++r) CHECK(zeros_in(narrow(runs, 0, r, 1)) == 6);
      CHECK(report.layers[2].zeros == 144);
    }
  }

  TEST_CASE("a list of groups: levels and blocks of their own") {
    const auto model = net();
    FinetuneOptions o = options();
    o.groups = {{{"tensor_fqn", "2.weight"},
                 {"sparsity_level", 0.25},
                 {"sparse_block_shape", std::vector<std::int64_t>{8, 8}},
                 {"zeros_per_block", std::int64_t{64}}},
                {{"tensor_fqn", "4.weight"}}};
    const FinetuneReport report = finetune(*model, points(), o);
    CHECK(zeros_in(weight(*model, "2")) == 1024);
    CHECK(zeros_in(weight(*model, "4")) == 96);  // PyTorch's defaults: half of the blocks of 1x4
    CHECK(report.layers[0] == LayerReport{"0.weight", 256, 0, "not in the list of groups"});
    CHECK(report.layers[1].dense_because.empty());
  }

  TEST_CASE("zeros per block are PyTorch's four where a group gives its block alone") {
    const auto model = net();
    FinetuneOptions o = options();
    const auto group = [](std::int64_t rows, std::int64_t cols) {
      return SparsifierConfig{{{"tensor_fqn", "2.weight"},
                               {"sparsity_level", 1.0},
                               {"sparse_block_shape", std::vector<std::int64_t>{rows, cols}}}};
    };
    o.groups = group(2, 4);
    (void)finetune(*model, points(), o);
    CHECK(zeros_in(weight(*model, "2")) == 64 * 64 / 2);
    o.groups = group(1, 1);
    CHECK_THROWS_AS((void)finetune(*model, points(), o), ValueError);
  }

  TEST_CASE("curves: zeros after each epoch of a ramp of four") {
    const auto zeros = [](Curve curve) {
      const auto model = net();
      FinetuneOptions o = blocks(0.5, {1, 1});
      o.curve = curve, o.epochs = 8, o.updates_per_epoch = 1, o.validation = 0, o.ramp = 0.625;
      std::vector<double> out;
      for (const EpochReport& row : finetune(*model, points(), o).epochs)
        out.push_back(std::round(1000 * row.sparsity) / 1000);
      return out;
    };
    CHECK(zeros(Curve::linear) == std::vector<double>{0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5});
    CHECK(zeros(Curve::step) == std::vector<double>{0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5});
    CHECK(zeros(Curve::cubic) == std::vector<double>{0, 0.289, 0.438, 0.492, 0.5, 0.5, 0.5, 0.5});
    CHECK(zeros(Curve::constant) == std::vector<double>{0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5});
  }

  TEST_CASE("only epochs at the final level may be the best, and a training of one step arrives") {
    const auto model = net();
    FinetuneOptions o = blocks(0.5, {4, 1});
    const FinetuneReport report = finetune(*model, points(), o);
    for (const EpochReport& row : report.epochs)
      CHECK((!row.best || row.sparsity == doctest::Approx(0.5).epsilon(0.01)));
    CHECK(report.best_epoch >= 3);
    const auto quick = net();
    o.epochs = 1, o.batch = 1000;
    CHECK(finetune(*quick, points(), o).epochs.back().sparsity == doctest::Approx(0.5).epsilon(0.01));
  }

  TEST_CASE("zeros and masks of either family stay, and count beside the blocks") {
    for (const int family : {0, 1, 2}) {
      CAPTURE(family);
      const auto model = net();
      Tensor mask = ones({64, 64});
      for (std::int64_t i = 0; i < 64; ++i) mask.set_({i, i}, 0);
      if (family == 0) {
        const NoGrad guard;
        model->at(2)->tensor("weight").mul_(mask);
      } else if (family == 1) {
        nn::attach_mask(*model->at(2), "weight", mask);
      } else {
        nn::parametrize::register_parametrization(*model->at(2), "weight", std::make_shared<nn::FakeSparsity>(mask));
      }
      const FinetuneReport report = finetune(*model, points(), blocks(0.5, {16, 1}));
      const Tensor after = weight(*model, "2");
      for (std::int64_t i = 0; i < 64; ++i) CHECK(after.at({i, i}) == 0);
      CHECK(zeros_in(after) == report.layers[1].zeros);
      CHECK(report.epochs.back().sparsity > 0.5);
      CHECK(nn::is_masked(*model->at(2), "weight"));
    }
  }

  TEST_CASE("what a filter leaves out is reported; tensors that stand in two places stay dense") {
    const auto model = net();
    model->add_module("3", std::make_shared<SameWeight>(model->at(2)->tensor("weight")));
    const FinetuneReport report =
        finetune(*model, points(), blocks(0.02, {16, 1}),
                 [](const std::string& name, const Tensor& t) { return t.dim() == 2 && name != "4.weight"; });
    REQUIRE(report.layers.size() == 4);
    CHECK(report.layers[0].dense_because.empty());
    CHECK(report.layers[1].dense_because == "its tensor stands in several places");
    CHECK(report.layers[2].dense_because == "its tensor stands in several places");
    CHECK(report.layers[3].dense_because == "not selected");
  }

  TEST_CASE("a group whose tensor stands in two places is refused under both names, masked or not") {
    for (const bool masked : {false, true}) {
      const auto tied = [&] {
        auto model = net();
        model->add_module("3", std::make_shared<SameWeight>(model->at(2)->tensor("weight")));
        if (masked) nn::attach_mask(*model->at(2), "weight", ones({64, 64}));
        return model;
      };
      const auto model = tied(), before = tied();
      const auto refused = [&](const SparsifierConfig& groups, const auto& message) {
        FinetuneOptions o = options();
        o.groups = groups;
        CHECK_THROWS_WITH_AS(finetune(*model, points(), o), message, ValueError);
        check_same_bits(nn::state_dict(*model), nn::state_dict(*before));
        CHECK_FALSE(nn::is_masked(*model->at(3), "weight"));
      };
      const Arguments fits{{"tensor_fqn", "0.weight"}}, first{{"tensor_fqn", "2.weight"}},
          second{{"tensor_fqn", "3.weight"}};
      refused({fits, first},
              "[finetune] groups: the tensor of '2.weight' is that of '3.weight' too; a tensor that stands in several "
              "places cannot be pruned");
      refused({second}, doctest::Contains("the tensor of '3.weight' is that of '2.weight' too"));
      refused({first, second}, doctest::Contains("the tensor of '2.weight' is that of '3.weight' too"));
    }
  }

  TEST_CASE("without block, pattern, groups and curve the bytes are those of global magnitude pruning") {
    FinetuneOptions o = options();
    o.sparsity = 0.5;
    const auto one = net(), other = net();
    const FinetuneReport plain = finetune(*one, points(), o);
    o.curve = Curve::cubic;  // as it is
    finetune(*other, points(), o);
    check_same_bits(nn::state_dict(*one), nn::state_dict(*other));
    CHECK(plain.layers.empty());
  }

  TEST_CASE("equal bytes for 1, 2 and 7 threads, and after interruptions") {
    FinetuneOptions groups = options();
    groups.groups = {{{"tensor_fqn", "2.weight"}, {"sparsity_level", 0.75}}};
    FinetuneOptions stairs = blocks(0.5, {7, 3});
    stairs.curve = Curve::step;
    for (FinetuneOptions o : {blocks(0.75, {16, 1}), pattern(1, 4), groups, stairs}) {
      const auto straight = net();
      set_num_threads(1);
      const FinetuneReport whole = finetune(*straight, points(), o);
      for (const int threads : {2, 7}) {
        set_num_threads(threads);
        const auto model = net();
        finetune(*model, points(), o);
        check_same_bits(nn::state_dict(*model), nn::state_dict(*straight));
      }
      set_num_threads(2);
      const TempDir dir;
      o.checkpoint = dir / "run.safetensors";
      for (const int stop : {1, 2, 1}) {
        const auto model = net(), before = net();
        int epochs = 0;
        CHECK_THROWS_AS(finetune(*model, points(), o, is_prunable,
                                 [&](const EpochReport&) -> bool {
                                   if (++epochs == stop) throw Crash();
                                   return true;
                                 }),
                        Crash);
        check_same_bits(nn::state_dict(*model), nn::state_dict(*before));
      }
      const auto rest = net();
      const FinetuneReport again = finetune(*rest, points(), o);
      check_same_bits(nn::state_dict(*rest), nn::state_dict(*straight));
      CHECK(again.layers == whole.layers);
      CHECK(again.best_epoch == whole.best_epoch);
    }
  }

  TEST_CASE("a checkpoint of other blocks, patterns, groups or curves is refused") {
    const TempDir dir;
    FinetuneOptions o = blocks(0.5, {16, 1});
    o.epochs = 2, o.checkpoint = dir / "run.safetensors";
    finetune(*net(), points(), o);
    const auto said = [&](const FinetuneOptions& other) {
      return outcome([&] { return finetune(*net(), points(), other).best_epoch; });
    };
    CHECK(said(o) == "accepted");
    FinetuneOptions other = o;
    other.block = Block{8, 1};
    CHECK(said(other).find("block was \"16x1\" and is \"8x1\"") != std::string::npos);
    other = o;
    other.block.reset();
    CHECK(said(other).find("'block' was") != std::string::npos);
    other = o;
    other.curve = Curve::linear;
    CHECK(said(other).find("curve was not there and is \"linear\"") != std::string::npos);
  }

  TEST_CASE("options that do not go together, and what cannot be reached: nothing changes") {
    const auto model = net(), before = net();
    const auto refused = [&](const FinetuneOptions& o, const auto& message) {
      CHECK_THROWS_WITH_AS(finetune(*model, points(), o), message, ValueError);
      check_same_bits(nn::state_dict(*model), nn::state_dict(*before));
    };
    FinetuneOptions o = blocks(0.5, {16, 1});
    o.pattern = Pattern{};
    refused(o, "[finetune] block, pattern and groups exclude each other");
    o = options();
    o.block = Block{16, 1};
    refused(o, "[finetune] blocks and a curve need a sparsity to reach");
    refused(blocks(0.5, {0, 1}), "[finetune] the sides of a block must be at least 1; got 0x1");
    o = pattern(2, 4);
    o.sparsity = 0.25;
    refused(o, "[finetune] a pattern of 2:4 is a sparsity of 0.5; got 0.25");
    refused(pattern(5, 4), "[Pattern] needs 0 <= n <= m and m >= 1; got 5:4");
    o = options();
    o.sparsity = 0.5;
    o.groups = {{{"tensor_fqn", "2.weight"}}};
    refused(o, "[finetune] groups have levels of their own: sparsity must be absent");
    refused(blocks(0.99, {16, 1}),
            "[finetune] sparsity 0.99 of 4544 weights cannot be reached: those that take blocks of 16x1 have 4352");
    refused(blocks(0.5, {100, 1}), doctest::Contains("no weight can be pruned: '0.weight' too narrow for blocks"));
    o = options();
    o.groups = {{{"tensor_fqn", "2.weight"}, {"zeros_per_block", std::int64_t{9}}}};
    CHECK_THROWS_AS(finetune(*model, points(), o), ValueError);
    o.groups = {{{"tensor_fqn", "7.weight"}}};
    CHECK_THROWS_WITH_AS(finetune(*model, points(), o), "[finetune] groups: '7.weight' is no parameter of the model",
                         KeyError);
    o.groups = {{{"tensor_fqn", "2.bias"}}};
    CHECK_THROWS_AS(finetune(*model, points(), o), ShapeError);
    check_same_bits(nn::state_dict(*model), nn::state_dict(*before));
  }
}
