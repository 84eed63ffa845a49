/// `coppice prune`: counts, patterns, masks, files of every kind, and what it refuses.

#include <cmath>
#include <limits>

#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/random.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/masked.h"
#include "program_prune.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const std::string kMlp = (kData / "mlp_digits.pt").string();

std::int64_t zeros_in(const Tensor& t) { return t.numel() - count_nonzero(t); }

}  // namespace

TEST_SUITE("sparsity/cli/prune") {
  TEST_CASE("an amount that is no amount: exit code 2; more than there is: 3") {
    const TempDir dir;
    for (const char* amount : {"1.5", "-1", "-0.5", "nan", "inf", "abc", "", "1e400", "0.5x", "0x10"}) {
      CAPTURE(amount);
      check_refused(dir, {kMlp, "--amount", amount}, 2, "--amount");
    }
    check_refused(dir, {kMlp, "--amount", "1001"}, 3, "'4.weight': [Amount] cannot prune 1001 of 1000");
    check_refused(dir, {kMlp, "--method", "global_l1", "--amount", "50201"}, 3, "50201 of 50200");
    check_refused(dir, {kMlp, "--method", "ln_structured", "--amount", "11"}, 3,
                  "'4.weight': [Amount] cannot prune 11 of 10");
    CHECK(run({"prune", kMlp, "--amount", "1000", "--dry-run"}).code == 0);
    CHECK(run({"prune", kMlp, "--method", "global_l1", "--amount", "50200", "--dry-run"}).code == 0);
  }

  TEST_CASE("a pattern that matches nothing: exit code 3 and the pattern") {
    const TempDir dir;
    check_refused(dir, {kMlp, "--amount", "0.5", "--include", "conv*"}, 3, "'conv*'");
    check_refused(dir, {kMlp, "--amount", "0.5", "--include", "0.*", "--include", "conv*"}, 3, "'conv*'");
    check_refused(dir, {kMlp, "--amount", "0.5", "--exclude", "conv*"}, 3, "'conv*'");
    check_refused(dir, {kMlp, "--amount", "0.5", "--exclude", "*"}, 3, "no tensor is left");
    check_refused(dir, {models().mlp, "--amount", "0.5", "--include", "conv*"}, 3, "'conv*'");
  }

  TEST_CASE("finetune reads patterns as prune does: by the names that the model computes with, masked or not") {
    const TempDir dir;
    const std::string masked = (dir / "masked.safetensors").string(), out = (dir / "out.safetensors").string();
    REQUIRE(run({"prune", models().mlp, "-o", masked, "--amount", "0.5", "--keep-masks"}).code == 0);
    const auto finetune = [&](const std::string& model, const std::string& option, const std::string& pattern) {
      return run({"finetune", model, "-o", out, "--data", "digits", "--epochs", "1", "--force", option, pattern});
    };
    for (const std::string& model : {models().mlp, masked})
      for (const char* option : {"--include", "--exclude"}) {
        CAPTURE(option);
        const Said none = finetune(model, option, "conv*");
        CHECK(none.code == 3);
        CHECK(holds(none.err, "the pattern 'conv*' matches no tensor"));
      }
    CHECK(finetune(masked, "--exclude", "*_orig").code == 3);
    CHECK(finetune(masked, "--include", "0.weight").code == 0);
  }

  TEST_CASE("an axis that is not there: exit code 3") {
    const TempDir dir;
    for (const char* method : {"ln_structured", "random_structured"})
      for (const char* dim : {"2", "-3", "99"}) {
        CAPTURE(method);
        CAPTURE(dim);
        check_refused(dir, {kMlp, "--method", method, "--amount", "1", "--dim", dim}, 3, "axis");
      }
    check_refused(dir, {kMlp, "--method", "ln_structured", "--amount", "1", "--include", "0.bias"}, 3,
                  "'0.bias': [LnStructured] needs at least 2 axes");
    CHECK(run({"prune", kMlp, "--method", "ln_structured", "--amount", "1", "--dim", "-2", "--dry-run"}).code == 0);
  }

  TEST_CASE("--n takes every kind of order") {
    const TempDir dir;
    const std::string in = (dir / "in.npz").string();
    NamedTensors tensors;
    tensors.add("weight", Tensor::of({{3, -4, 0}, {0, 0, 4.5}, {1, 1, 1}}));
    save_tensors(in, tensors);
    const auto pruned_row = [&](const std::string& n) {
      const std::string out = (dir / "out.npz").string();
      const Said said = run(
          {"prune", in, "-o", out, "--force", "--method", "ln_structured", "--amount", "1", "--dim", "0", "--n", n});
      CAPTURE(said.err);
      REQUIRE(said.code == 0);
      const Tensor w = load_tensors(out).at("weight");
      for (std::int64_t row = 0; row < 3; ++row)
        if (w.at({row, 0}) == 0 && w.at({row, 1}) == 0 && w.at({row, 2}) == 0) return row;
      return std::int64_t{-1};
    };
    CHECK(pruned_row("2") == 2);  // 5, 4.5, 1.73
    CHECK(pruned_row("fro") == 2);
    CHECK(pruned_row("1") == 2);  // 7, 4.5, 3
    CHECK(pruned_row("1.5") == 2);
    CHECK(pruned_row("0") == 1);     // 2, 1, 3 entries
    CHECK(pruned_row("0.5") == 1);   // 13.9, 4.5, 9
    CHECK(pruned_row("inf") == 2);   // 4, 4.5, 1
    CHECK(pruned_row("-inf") == 0);  // 0, 0, 1: the tie goes to the lower row
    CHECK(pruned_row("-1") == 0);
    check_refused(dir, {in, "--method", "ln_structured", "--amount", "1", "--n", "nuc"}, 3, "'nuc'");
    check_refused(dir, {in, "--method", "ln_structured", "--amount", "1", "--n", "two"}, 2, "--n");
    check_refused(dir, {in, "--method", "ln_structured", "--amount", "1", "--n", "2 "}, 2, "--n");
  }

  TEST_CASE("NaN weights rank last, the count stays exact, and a note says so") {
    const TempDir dir;
    const std::string in = (dir / "in.safetensors").string(), out = (dir / "out.safetensors").string();
    std::vector<float> values(100);
    for (std::size_t i = 0; i < 100; ++i) values[i] = i % 3 == 0 ? std::nanf("") : static_cast<float>(i);
    NamedTensors tensors;
    tensors.add("weight", Tensor::from(values, {10, 10}));
    save_tensors(in, tensors);
    for (const char* amount : {"50", "80", "100"}) {  // 34 of 100 are NaN: 80 takes 14 of them
      CAPTURE(amount);
      const Said said = run({"prune", in, "-o", out, "--force", "--keep-masks", "--amount", amount});
      CHECK(said.code == 0);
      CHECK(holds(said.err, "weight holds NaN"));
      const Tensor mask = load_tensors(out).at("weight_mask");
      CHECK(cat(zeros_in(mask)) == amount);
      for (std::int64_t i = 0; i < 100; ++i)  // no NaN goes before a number
        if (std::string(amount) == "50" && i % 3 == 0) CHECK(mask.at({i / 10, i % 10}) == 1);
    }
    tensors.add("infinite.weight", Tensor::of({{std::numeric_limits<double>::infinity(), 1.0}}));
    tensors.add("odd.weight", Tensor::from(values, {100}).reshape({20, 5}));
    save_tensors(in, tensors);
    for (const Words& method : {Words{"--method", "global_l1", "--amount", "0.5"},
                                {"--method", "global_l1", "--amount", "0.5", "--keep-at-least", "0.1"},
                                {"--method", "global_random", "--amount", "0.5"},
                                {"--sparsifier", "nm", "--pattern", "1:2"}}) {  // which leaves the odd one
      Words words{"prune", in, "-o", out, "--force"};
      words.insert(words.end(), method.begin(), method.end());
      const Said said = run(words);
      CHECK(said.code == 0);
      CHECK(holds(said.err, "note: weight holds NaN"));
      CHECK(holds(said.err, "note: odd.weight holds NaN"));
      CHECK_FALSE(holds(said.err, "infinite.weight holds NaN"));
    }
  }

  TEST_CASE("--dry-run reports and writes nothing") {
    const TempDir dir;
    const std::string out = (dir / "out.safetensors").string();
    const Json report = json_of({"prune", kMlp, "-o", out, "--amount", "0.5", "--dry-run"});
    CHECK(report.at("zeros") == 25100);
    CHECK(report.at("output").is_null());
    CHECK(dir.size() == 0);
    CHECK(holds(run({"prune", kMlp, "--amount", "0.5", "--dry-run"}).out, "nothing was written"));
  }

  TEST_CASE("a checkpoint keeps its names, order and shapes, and loses exactly what was asked") {
    const TempDir dir;
    const std::string out = (dir / "out.safetensors").string();
    const Json report = json_of({"prune", kMlp, "-o", out, "--amount", "0.9"});
    const NamedTensors before = load_tensors(kMlp), after = load_tensors(out);
    CHECK(after.names() == before.names());
    CHECK(after.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
    CHECK(zeros_in(after.at("0.weight")) == 17280);
    CHECK(zeros_in(after.at("2.weight")) == 27000);
    CHECK(zeros_in(after.at("4.weight")) == 900);
    CHECK(after.at("0.bias") == before.at("0.bias"));
    CHECK(report.at("zeros") == 17280 + 27000 + 900);
    CHECK(report.at("tensors").size() == 3);
    // What is left has not changed, and nothing that went was larger than what stayed.
    const auto was = before.at("4.weight").to_vector<float>(), is = after.at("4.weight").to_vector<float>();
    float largest_gone = 0, smallest_kept = INFINITY;
    for (std::size_t i = 0; i < is.size(); ++i) {
      if (is[i] == 0)
        largest_gone = std::max(largest_gone, std::abs(was[i]));
      else
        smallest_kept = std::min(smallest_kept, std::abs(was[i])), CHECK(is[i] == was[i]);
    }
    CHECK(largest_gone <= smallest_kept);
  }

  TEST_CASE("--keep-masks writes X_orig and X_mask of the type of X, whose product is what is written without it") {
    const TempDir dir;
    const std::string product = (dir / "p.safetensors").string(), kept = (dir / "k.safetensors").string();
    REQUIRE(run({"prune", kMlp, "-o", product, "--amount", "0.9", "--include", "2.*ght"}).code == 0);
    REQUIRE(run({"prune", kMlp, "-o", kept, "--amount", "0.9", "--include", "2.*ght", "--keep-masks"}).code == 0);
    const NamedTensors a = load_tensors(product), b = load_tensors(kept), before = load_tensors(kMlp);
    CHECK(b.names() == Words{"0.weight", "0.bias", "2.weight_orig", "2.weight_mask", "2.bias", "4.weight", "4.bias"});
    CHECK(b.at("2.weight_orig") == before.at("2.weight"));
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16}) {
      save_tensors(dir / "typed.pt", {{"weight", Tensor::of({{1, 2}, {3, 4}}).to(dtype)}});
      const std::string typed = (dir / "typed_out.pt").string();
      REQUIRE(
          run({"prune", (dir / "typed.pt").string(), "-o", typed, "--force", "--amount", "1", "--keep-masks"}).code ==
          0);
      CHECK(load_tensors(typed).at("weight_mask").dtype() == dtype);
    }
    CHECK(b.at("2.weight_mask").dtype() == Dtype::f32);
    CHECK(nn::apply_mask(b.at("2.weight_orig"), b.at("2.weight_mask")) == a.at("2.weight"));

    SUBCASE("pruning again counts what is left, and keeps the original") {
      const std::string again = (dir / "a.safetensors").string();
      REQUIRE(run({"prune", kept, "-o", again, "--amount", "1000", "--include", "2.weight", "--keep-masks"}).code == 0);
      const NamedTensors c = load_tensors(again);
      CHECK(c.at("2.weight_orig") == before.at("2.weight"));
      CHECK(zeros_in(c.at("2.weight_mask")) == 27000 + 1000);
      CHECK(nn::apply_mask(b.at("2.weight_mask"), c.at("2.weight_mask")) == c.at("2.weight_mask"));
    }
  }

  TEST_CASE("what a training checkpoint holds beside tensors is left out and named") {
    const TempDir dir;
    const Said said =
        run({"prune", (kData / "torch/checkpoint_2_13.pt").string(), "-o", (dir / "o.pt").string(), "--amount", "0.5"});
    CHECK(said.code == 0);
    CHECK(holds(said.err, "left out: epoch\nleft out: history\n"));
  }

  TEST_CASE("a model stays a model, with its masks if they are kept") {
    const TempDir dir;
    const std::string out = (dir / "m.safetensors").string();
    REQUIRE(run({"prune", models().mlp, "-o", out, "--amount", "0.9", "--keep-masks"}).code == 0);
    const nn::ModulePtr model = nn::load_model(out);
    CHECK(nn::masked_slots(*model).size() == 3);
    CHECK(zeros_in(model->find_module("0")->tensor("weight")) == 17280);
    SUBCASE("pruning it again counts what is left, and the file knows both steps") {
      const std::string again = (dir / "again.safetensors").string();
      REQUIRE(run({"prune", out, "-o", again, "--amount", "0.5", "--keep-masks"}).code == 0);
      const nn::ModulePtr twice = nn::load_model(again);
      CHECK(zeros_in(twice->find_module("0")->tensor("weight")) == 17280 + 960);
      const auto steps = nn::mask_origin(*twice->find_module("0"), "weight")->steps();
      REQUIRE(steps.size() == 2);
      CHECK(steps[1].type == "L1Unstructured");
    }
    REQUIRE(run({"prune", models().mlp, "-o", out, "--amount", "0.9", "--force"}).code == 0);
    const nn::ModulePtr plain = nn::load_model(out);
    CHECK(nn::masked_slots(*plain).empty());
    CHECK(plain->find_module("0")->tensor("weight") == model->find_module("0")->tensor("weight"));
  }

  TEST_CASE("the same tensors as .pt, .npz and .safetensors give the same result") {
    const TempDir dir;
    const NamedTensors tensors = load_tensors(kMlp);
    std::vector<NamedTensors> results;
    for (const char* name : {"in.pt", "in.npz", "in.safetensors", "in.pth"}) {
      CAPTURE(name);
      const std::string in = (dir / name).string(), out = (dir / ("out_" + std::string(name))).string();
      save_tensors(in, tensors);
      REQUIRE(run({"prune", in, "-o", out, "--method", "random_unstructured", "--seed", "7", "--amount", "0.3"}).code ==
              0);
      results.push_back(load_tensors(out));
      check_same_bits(results.back(), results.front());
    }
    CHECK(zeros_in(results.front().at("0.weight")) == 5760);
  }

  TEST_CASE("random methods follow their seed, and PyTorch's stream") {
    const TempDir dir;
    const std::string in = (dir / "in.npz").string();
    NamedTensors tensors;
    tensors.add("weight", Tensor::of({{1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}}));
    save_tensors(in, tensors);
    const auto result = [&](const std::string& method, const std::string& seed) {
      const std::string out = (dir / "out.npz").string();
      REQUIRE(run({"prune", in, "-o", out, "--force", "--method", method, "--seed", seed, "--amount", "0.5"}).code ==
              0);
      return load_tensors(out).at("weight");
    };
    for (const char* method : {"random_unstructured", "random_structured", "global_random"}) {
      CAPTURE(method);
      CHECK(zeros_in(result(method, "1")) == 10);
      CHECK(result(method, "1") == result(method, "1"));
    }
    CHECK_FALSE(result("random_unstructured", "1") == result("random_unstructured", "2"));
    // torch.manual_seed(0); torch.rand(4): 0.4963 0.7682 0.0885 0.1320; the two smallest go.
    CHECK(result("random_structured", "0") ==
          Tensor::of({{1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}}));
  }
}
