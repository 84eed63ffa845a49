/// `coppice prune --sparsifier`: masks of the library, on models and bare checkpoints, masked or not.

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/engine/random.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/parametrize.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/sparsifier/nearly_diagonal.h"
#include "coppice/sparsity/sparsifier/nm.h"
#include "coppice/sparsity/sparsifier/weight_norm.h"
#include "program.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::test;

namespace {

const std::string kMlp = (kData / "mlp_digits.pt").string();
const Words kNames{"0.weight", "2.weight", "4.weight"};

std::int64_t zeros_in(const Tensor& t) { return t.numel() - count_nonzero(t); }

std::map<std::string, Tensor> masks_of(BaseSparsifier&& sparsifier, const nn::ModulePtr& model, const Words& names) {
  SparsifierConfig config;
  for (const std::string& name : names) config.push_back({{"tensor_fqn", name}});
  sparsifier.prepare(model, config);
  sparsifier.step();
  std::map<std::string, Tensor> out;
  for (const Group& group : sparsifier.groups()) out.emplace(group.tensor_fqn(), group.mask().to(Dtype::f32));
  return out;
}

std::map<std::string, Tensor> masks_of(const DataNormOptions& options, const NamedTensors& tensors) {
  std::map<std::string, Tensor> out;
  for (const std::string& name : kNames) {
    DataNormSparsifier sparsifier({{"w", tensors.at(name)}}, options);
    sparsifier.step();
    out.emplace(name, sparsifier.get_mask("w").to(Dtype::f32));
  }
  return out;
}

/// The three masks of the MLP from both kinds of input, which are the same.
std::map<std::string, Tensor> pruned(const Words& options) {
  const TempDir dir;
  const std::string bare = (dir / "bare.pt").string(), model = (dir / "model.safetensors").string();
  const auto with = [&](const std::string& in, const std::string& out) {
    Words words{"prune", in, "-o", out, "--keep-masks", "--sparsifier"};
    words.insert(words.end(), options.begin(), options.end());
    const Said said = run(words);
    CAPTURE(said.err);
    REQUIRE(said.code == 0);
  };
  with(kMlp, bare);
  with(models().mlp, model);
  const NamedTensors tensors = load_tensors(bare), before = load_tensors(kMlp);
  const nn::ModulePtr loaded = nn::load_model(model);
  std::map<std::string, Tensor> out;
  for (const std::string& name : kNames) {
    CAPTURE(name);
    CHECK(tensors.at(name + "_orig") == before.at(name));
    const Tensor& mask = tensors.at(name + "_mask");
    CHECK(mask.dtype() == Dtype::f32);
    CHECK(mask == loaded->find_module(name.substr(0, 1))->tensor("weight_mask").to(Dtype::f32));
    out.emplace(name, mask);
  }
  return out;
}

}  // namespace

TEST_SUITE("sparsity/cli/sparsifiers") {
  TEST_CASE("masks are those of the classes, for both kinds of input") {
    const nn::ModulePtr m = nn::load_model(models().mlp);
    const auto fresh = [&] { return m->clone(); };
    const NamedTensors tensors = load_tensors(kMlp);
    CHECK(pruned({"weight_norm"}) == masks_of(WeightNormSparsifier(), fresh(), kNames));
    CHECK(pruned({"weight_norm", "--sparsity-level", "0.9", "--block", "16x1", "--norm", "l1"}) ==
          masks_of(WeightNormSparsifier(0.9, {16, 1}, std::nullopt, 1), fresh(), kNames));
    CHECK(pruned({"weight_norm", "--sparsity-level", "1", "--zeros-per-block", "2"}) ==
          masks_of(WeightNormSparsifier(1, {1, 4}, 2), fresh(), kNames));
    CHECK(pruned({"weight_norm", "--block", "3x7", "--ties", "pytorch"}) ==
          masks_of(WeightNormSparsifier(0.5, {3, 7}, std::nullopt, 2, TieRule::pytorch), fresh(), kNames));
    CHECK(pruned({"nearly_diagonal", "--nearliness", "5"}) == masks_of(NearlyDiagonalSparsifier(5), fresh(), kNames));
    CHECK(pruned({"nm", "--pattern", "1:4"}) == masks_of(NmSparsifier({1, 4}), fresh(), kNames));
    CHECK(pruned({"data_norm"}) == masks_of(DataNormOptions{}, tensors));
    CHECK(
        pruned({"data_norm", "--block", "4x4", "--sparsity-level", "0.75", "--zeros-per-block", "5", "--norm", "l2"}) ==
        masks_of({.sparsity_level = 0.75, .sparse_block_shape = {4, 4}, .zeros_per_block = 5, .norm = "L2"}, tensors));
  }

  TEST_CASE("the document names sparsifier and settings, and counts") {
    const Json report = json_of({"prune", kMlp, "--dry-run", "--sparsifier", "weight_norm", "--block", "16x1",
                                 "--sparsity-level", "0.75", "--include", "2.*ght"});
    CHECK(report.at("schema") == "coppice.prune/1");
    CHECK(report.at("sparsifier") == "weight_norm");
    CHECK(report.at("settings") ==
          Json{{"sparsity_level", 0.75}, {"sparse_block_shape", {16, 1}}, {"zeros_per_block", 16}, {"norm", "l2"}});
    for (const char* key : {"output", "method", "amount", "seed"}) CHECK(report.at(key).is_null());
    CHECK(report.at("ties") == "lowest");
    CHECK(report.at("left") == Json::array());
    CHECK(report.at("tensors").size() == 1);
    CHECK(report.at("tensors")[0].at("pruned") == report.at("zeros"));
    CHECK(report.at("sparsity").get<double>() == doctest::Approx(0.75).epsilon(0.01));
    const Json method = json_of({"prune", kMlp, "--dry-run", "--amount", "0.5"});
    CHECK(method.at("method") == "l1_unstructured");
    CHECK(method.at("sparsifier").is_null());
    CHECK_FALSE(method.contains("settings"));
  }

  TEST_CASE("a pruned model is inspected, packed and run, and computes what the masked one does") {
    const TempDir dir;
    const auto at = [&](const char* name) { return (dir / name).string(); };
    const Words prune{"--sparsifier", "weight_norm", "--block", "4x1", "--sparsity-level", "0.8"};
    const auto pruned_as = [&](const std::string& out, const Words& more) {
      Words words{"prune", models().lenet, "-o", out};
      words.insert(words.end(), prune.begin(), prune.end());
      words.insert(words.end(), more.begin(), more.end());
      return json_of(words);
    };
    const Json said = pruned_as(at("product.safetensors"), {});
    (void)pruned_as(at("masked.safetensors"), {"--keep-masks"});
    for (const char* name : {"product.safetensors", "masked.safetensors"})
      CHECK(json_of({"inspect", at(name)}).at("weight_zeros") == said.at("zeros"));
    CHECK(holds(run({"verify", at("masked.safetensors")}).out, "masks have the shape of their tensors"));
    const std::string digits = at("x.npy");
    Generator generator(3);
    write_npy(digits, randn({5, 1, 8, 8}, Dtype::f32, &generator));
    std::vector<Tensor> results;
    for (const char* name : {"product.safetensors", "masked.safetensors"}) {
      REQUIRE(run({"pack", at(name), "-o", at("packed.safetensors"), "--no-measure", "--force"}).code == 0);
      for (const std::string& model : {at(name), at("packed.safetensors")}) {
        REQUIRE(run({"run", model, digits, "-o", at("y.npy"), "--force"}).code == 0);
        results.push_back(read_npy(at("y.npy")));
      }
    }
    for (const Tensor& result : results)
      CHECK(testing::differs(result, results.front(), Tolerance{.rtol = 0, .atol = 1e-4}) == "");
  }

  TEST_CASE("masks of both families are continued: what they prune stays pruned and counts for the level") {
    const TempDir dir;
    const std::string again = (dir / "again.safetensors").string();
    Tensor mask = ones(load_tensors(kMlp).at("2.weight").shape());
    narrow(mask, 0, 0, 30).fill_(0);  // of 300 rows
    const nn::ModulePtr prepared = nn::load_model(models().mlp), other = nn::load_model(models().mlp);
    nn::parametrize::register_parametrization(*prepared->find_module("2"), "weight",
                                              std::make_shared<nn::FakeSparsity>(mask));
    nn::set_mask(*other->find_module("2"), "weight", mask);
    NamedTensors bare, fake;
    for (const auto& [name, tensor] : load_tensors(kMlp)) {
      const bool it = name == "2.weight";
      bare.add(it ? "2.weight_orig" : name, tensor);
      fake.add(it ? "2.parametrizations.weight.original" : name, tensor);
    }
    bare.add("2.weight_mask", mask);
    fake.add("2.parametrizations.weight.0.mask", mask);
    nn::save_model(*prepared, dir / "prepared.safetensors");
    nn::save_model(*other, dir / "masked.safetensors");
    save_tensors(dir / "bare.safetensors", bare);
    save_tensors(dir / "fake.pt", fake);
    for (const char* name : {"prepared.safetensors", "masked.safetensors", "bare.safetensors", "fake.pt"}) {
      CAPTURE(name);
      const std::string in = (dir / name).string();
      const auto zeros = [&](const char* level) {
        return json_of({"prune", in, "-o", again, "--force", "--keep-masks", "--sparsifier", "weight_norm", "--block",
                        "1x1", "--include", "2.weight", "--sparsity-level", level})
            .at("zeros")
            .get<std::int64_t>();
      };
      CHECK(zeros("0") == zeros_in(mask));
      CHECK(zeros("0.05") == zeros_in(mask));
      CHECK(zeros("0.5") == mask.numel() / 2);
      const NamedTensors written = load_tensors(again);
      const Tensor now = nn::is_model(written) ? nn::load_model(again)->find_module("2")->tensor("weight_mask")
                                               : written.at("2.weight_mask");
      CHECK(zeros_in(narrow(now.to(Dtype::f32), 0, 0, 30)) == zeros_in(mask));
    }
    // A file knows both steps, and a method goes on from there.
    const nn::ModulePtr loaded = nn::load_model(models().mlp);
    REQUIRE(run({"prune", (dir / "masked.safetensors").string(), "-o", again, "--force", "--keep-masks", "--sparsifier",
                 "nm", "--include", "2.weight"})
                .code == 0);
    const auto steps = nn::mask_origin(*nn::load_model(again)->find_module("2"), "weight")->steps();
    REQUIRE(steps.size() == 2);
    CHECK(steps[1].type == "BySparsifier");
    CHECK(steps[1].arguments.text("sparsifier") == "nm");
    const std::string third = (dir / "third.safetensors").string();
    CHECK(json_of({"prune", again, "-o", third, "--amount", "7", "--include", "2.weight"}).at("zeros") ==
          7 + zeros_in(nn::load_model(again)->find_module("2")->tensor("weight")));
  }
}
