/// `coppice prune --sparsifier`: what it refuses, and what it leaves as it is.

#include "coppice/engine/io/load.h"
#include "coppice/nn/io/model_file.h"
#include "program_prune.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const std::string kMlp = (kData / "mlp_digits.pt").string();

}  // namespace

TEST_SUITE("sparsity/cli/sparsifier_options") {
  TEST_CASE("tensors of a shape that it cannot take stay as they are and are named, or are refused where asked for") {
    const TempDir dir;
    const std::string out = (dir / "out.safetensors").string();
    const Json said = json_of({"prune", models().lenet, "-o", out, "--sparsifier", "nearly_diagonal"});
    std::size_t convs = 0;
    for (const auto& [name, tensor] : load_tensors(models().lenet)) convs += tensor.dim() == 4;
    REQUIRE(convs > 0);
    CHECK(said.at("left").size() == convs);
    CHECK(holds(said.at("left")[0].at("why"), "[NearlyDiagonalSparsifier] needs a tensor of 2 axes"));
    const std::string conv = said.at("left")[0].at("name");
    CHECK(nn::load_model(out)->find_module(conv.substr(0, conv.rfind('.')))->tensor("weight") ==
          load_tensors(models().lenet).at(conv));
    CHECK(holds(run({"prune", models().lenet, "--dry-run", "--sparsifier", "nearly_diagonal"}).out,
                "left as it is: " + conv + ": "));
    check_refused({models().lenet, "--sparsifier", "nearly_diagonal", "--include", conv}, 3, "'" + conv + "': [Nearly");
    check_refused({kMlp, "--sparsifier", "weight_norm", "--include", "0.bias"}, 3, "'0.bias': ");
    check_refused({kMlp, "--sparsifier", "nm", "--pattern", "1:7"}, 3, "[NmSparsifier] 1:7 does not divide");  // none
    check_refused({kMlp, "--sparsifier", "nearly_diagonal", "--nearliness", "99", "--include", "4.weight"}, 3,
                  "'4.weight': [NearlyDiagonalSparsifier] nearliness");
    CHECK(json_of({"prune", kMlp, "--dry-run", "--sparsifier", "data_norm", "--include", "0.bias"}).at("zeros") > 0);
    check_refused({kMlp, "--sparsifier", "nm", "--include", "conv*"}, 3, "'conv*'");
  }

  TEST_CASE("options of the one way are wrong usage with the other, and so are those of other sparsifiers") {
    const Words weight_norm{"no", "--sparsifier", "weight_norm"}, method{"no", "--amount", "0.5"};
    const auto with = [](Words words, const Words& more) {
      words.insert(words.end(), more.begin(), more.end());
      return words;
    };
    check_refused({"no"}, 2, "--amount is required");
    check_refused(with(weight_norm, {"--method", "global_l1"}), 2, "--method and --sparsifier exclude each other");
    check_refused(with(weight_norm, {"--amount", "0.5"}), 2, "--amount has an effect with --method only");
    check_refused(with(weight_norm, {"--seed", "1"}), 2, "--seed has an effect with --method only");
    check_refused(with(weight_norm, {"--dim", "1"}), 2, "--dim has an effect with --method only");
    check_refused(with(weight_norm, {"--n", "1"}), 2, "--n has an effect with --method only");
    check_refused(with(method, {"--block", "1x4"}), 2,
                  "--block has an effect with --sparsifier weight_norm and data_norm only");
    check_refused(with(method, {"--nearliness", "3"}), 2,
                  "--nearliness has an effect with --sparsifier nearly_diagonal");
    check_refused(with(weight_norm, {"--pattern", "2:4"}), 2, "--pattern has an effect with --sparsifier nm only");
    check_refused({"no", "--sparsifier", "nm", "--sparsity-level", "0.5"}, 2, "--sparsity-level has an effect with");
    check_refused({"no", "--sparsifier", "nearly_diagonal", "--zeros-per-block", "1"}, 2, "--zeros-per-block has");
    check_refused({"no", "--sparsifier", "nm", "--norm", "l1"}, 2, "--norm has an effect with");
    for (const char* name : {"data_norm", "nearly_diagonal"})
      check_refused({"no", "--sparsifier", name, "--ties", "pytorch"}, 2,
                    "--ties pytorch has an effect with --method and --sparsifier weight_norm and nm only");
    CHECK(run({"prune", kMlp, "--sparsifier", "data_norm", "--ties", "lowest", "--dry-run"}).code == 0);
    check_refused({"no", "--sparsifier", "saliency"}, 2, "weight_norm, nearly_diagonal, data_norm and nm");
    check_refused({"no", "--sparsifier", ""}, 2, "--sparsifier");
  }

  TEST_CASE("settings that are none are wrong usage: no file is read") {
    const auto refused = [](const char* sparsifier, const char* option, const char* value) {
      CAPTURE(option);
      CAPTURE(value);
      check_refused({"no", "--sparsifier", sparsifier, option, value}, 2, option);
    };
    for (const char* level : {"nan", "inf", "-0.1", "1.1", "half", "", "1e400"})
      refused("weight_norm", "--sparsity-level", level);
    for (const char* block : {"0x1", "1x0", "4", "4x", "x4", "-1x4", "1x4x2", "", "9999999999999999999x1"}) {
      refused("weight_norm", "--block", block);
      refused("data_norm", "--block", block);
    }
    for (const char* zeros : {"-1", "1.5", "all", ""}) refused("data_norm", "--zeros-per-block", zeros);
    for (const char* norm : {"l3", "2", "L1", ""}) refused("data_norm", "--norm", norm);
    for (const char* near : {"0", "-1", "1.5", "x"}) refused("nearly_diagonal", "--nearliness", near);
    for (const char* pattern : {"4:2", "2:0", "2", "2:4:8", "-1:4", "a:b", ""}) refused("nm", "--pattern", pattern);
    check_refused(
        {"no", "--sparsifier", "weight_norm", "--zeros-per-block", "5"}, 2,
        "--sparsifier weight_norm: [WeightNormSparsifier] zeros_per_block must be in 0..4 (block 1x4); got 5");
    check_refused({"no", "--sparsifier", "nearly_diagonal", "--nearliness", "4"}, 2, "must be odd");
    check_refused({"no", "--sparsifier", "nm"}, 5, "no");  // all is well but the file
  }
}
