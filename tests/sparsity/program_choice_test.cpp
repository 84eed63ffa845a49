/// What `prune` takes of a file and why not the rest; tensors of several names; layers that global pruning empties.

#include "coppice/engine/io/load.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/masked.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

std::string checkpoint(const std::string& name) { return (kData / "checkpoints" / name).string(); }

std::int64_t zeros_in(const Tensor& t) { return t.numel() - count_nonzero(t); }

Words names_in(const Json& list) {
  Words out;
  for (const Json& row : list) out.push_back(row.at("name").get<std::string>());
  return out;
}

}  // namespace

TEST_SUITE("sparsity/cli/choice") {
  TEST_CASE("of a weight norm the direction is taken, whichever way PyTorch wrote it") {
    const TempDir dir;
    const std::string out = (dir / "o.pt").string();
    const Json old = json_of({"prune", checkpoint("weight_norm.pt"), "-o", out, "--amount", "0.9"});
    CHECK(names_in(old.at("tensors")) == Words{"weight_v"});
    const NamedTensors before = load_tensors(checkpoint("weight_norm.pt")), after = load_tensors(out);
    CHECK(after.at("weight_g") == before.at("weight_g"));
    CHECK(zeros_in(after.at("weight_v")) == 1382);
    const std::string parametrized = checkpoint("weight_norm_parametrized.pt");
    for (const Words& include : {Words{}, Words{"--include", "weight"}}) {
      Words words{"prune", parametrized, "-o", out, "--amount", "0.9", "--force"};
      words.insert(words.end(), include.begin(), include.end());
      CHECK(names_in(json_of(words).at("tensors")) == Words{"parametrizations.weight.original1"});
    }
    CHECK(load_tensors(out).at("parametrizations.weight.original0") ==
          load_tensors(parametrized).at("parametrizations.weight.original0"));
  }

  TEST_CASE("--dry-run lists why each other tensor is not taken, in text and in the document") {
    const Words words{"prune", checkpoint("weight_norm.pt"), "--amount", "0.9", "--dry-run"};
    const Said said = run(words);
    CHECK(holds(said.out, "not taken: weight_g: the gain of a weight norm\n"));
    CHECK(holds(said.out, "not taken: bias: it has less than two axes\n"));
    const Json list = json_of(words).at("not_taken");
    CHECK(names_in(list) == Words{"bias", "weight_g"});
    const std::string mlp = (kData / "mlp_digits.pt").string();
    const Said chosen =
        run({"prune", mlp, "--amount", "0.5", "--dry-run", "--include", "*.weight", "--exclude", "4.*"});
    CHECK(holds(chosen.out, "not taken: 0.bias: not named by --include\n"));
    CHECK(holds(chosen.out, "not taken: 4.weight: left out by --exclude\n"));
    const TempDir dir;
    const Said written = run({"prune", mlp, "-o", (dir / "o.pt").string(), "--amount", "0.5"});
    CHECK_FALSE(holds(written.out, "not taken"));
  }

  TEST_CASE("a tensor of two names is pruned once, with one mask, and written once") {
    const TempDir dir;
    const std::string in = checkpoint("tied.pt"), out = (dir / "o.pt").string();
    const Words words{
        "prune",          in,       "-o", out, "--method", "random_unstructured", "--amount", "0.5", "--include",
        "lm_head.weight", "--force"};
    const Said said = run(words);
    CAPTURE(said.err);
    CHECK(said.code == 0);
    CHECK(holds(said.err, "note: lm_head.weight and wte.weight are one tensor, with one mask"));
    const Json document = json_of(words);
    CHECK(names_in(document.at("tensors")) == Words{"lm_head.weight"});
    CHECK(document.at("tensors")[0].at("also_named") == Json{"wte.weight"});
    CHECK(document.at("elements") == 800);
    const NamedTensors after = load_tensors(out);
    CHECK(after.names() == load_tensors(in).names());
    CHECK(after.at("wte.weight") == after.at("lm_head.weight"));
    CHECK(zeros_in(after.at("wte.weight")) == 400);
    CHECK(after.at("h.weight") == load_tensors(in).at("h.weight"));
    CHECK(after.at("wte.weight").bytes() == after.at("lm_head.weight").bytes());

    // Without names both are weights: one amount over all of them counts the tensor once.
    CHECK(json_of({"prune", in, "--dry-run", "--amount", "0.5", "--method", "global_l1"}).at("elements") == 800 + 256);
    Words kept = words;
    kept.emplace_back("--keep-masks");
    REQUIRE(run(kept).code == 0);
    const NamedTensors masks = load_tensors(out);
    for (const char* part : {"weight_orig", "weight_mask"})
      CHECK(masks.at(cat("wte.", part)).bytes() == masks.at(cat("lm_head.", part)).bytes());

    const Said half = run({"prune", in, "-o", out, "--force", "--amount", "0.5", "--exclude", "lm_head.*"});
    CHECK(half.code == 3);
    CHECK(holds(half.err, "'wte.weight' and 'lm_head.weight' are one tensor: --exclude both of them, or neither"));
    CHECK(run({"prune", in, "-o", out, "--force", "--amount", "0.5", "--exclude", "lm_head.*", "--exclude", "wte.*"})
              .code == 0);
  }

  TEST_CASE("a tensor that a global method empties is named, and --keep-at-least leaves it a share") {
    const TempDir dir;
    const std::string in = (dir / "in.pt").string(), out = (dir / "o.pt").string();
    Tensor large = Tensor::from(std::vector<float>(200, 5), {10, 20}),
           small = Tensor::from(std::vector<float>(200, 1), {10, 20});
    save_tensors(in, {{"large.weight", large}, {"small.weight", small}});
    const auto prune = [&](const Words& more) {
      Words words{"prune", in, "-o", out, "--force", "--amount", "0.5"};
      words.insert(words.end(), more.begin(), more.end());
      return run(words);
    };
    const Said whole = prune({"--method", "global_l1"});
    CHECK(whole.code == 0);
    CHECK(holds(whole.err, "note: small.weight is wholly zero; --keep-at-least"));
    CHECK_FALSE(holds(whole.err, "large.weight"));
    const Said nearly = run({"prune", in, "-o", out, "--force", "--amount", "198", "--method", "global_l1"});
    CHECK(holds(nearly.err, "note: small.weight is 99.0 % zero"));
    CHECK_FALSE(holds(prune({}).err, "note"));  // not a global method
    for (const char* method : {"global_l1", "global_random"}) {
      const Said kept = prune({"--method", method, "--keep-at-least", "0.3"});
      CAPTURE(kept.err);
      CHECK(kept.code == 0);
      CHECK(kept.err.empty());
      CHECK(zeros_in(load_tensors(out).at("small.weight")) <= 140);
      CHECK(zeros_in(load_tensors(out).at("small.weight")) + zeros_in(load_tensors(out).at("large.weight")) == 200);
    }
    const Said impossible = prune({"--method", "global_l1", "--keep-at-least", "0.6"});
    CHECK(impossible.code == 3);
    CHECK(holds(impossible.err, "160 may"));
    CHECK(prune({"--keep-at-least", "0.3"}).code == 2);
    CHECK(prune({"--method", "global_l1", "--keep-at-least", "2"}).code == 2);
  }

  TEST_CASE("weights that packed layers hold are said to be packed, with the command that unpacks them") {
    const TempDir dir;
    const std::string pruned = (dir / "p.safetensors").string(), packed = (dir / "q.safetensors").string(),
                      out = (dir / "o.safetensors").string();
    REQUIRE(run({"prune", models().mlp, "-o", pruned, "--amount", "0.9"}).code == 0);
    REQUIRE(run({"pack", pruned, "-o", packed, "--no-measure"}).code == 0);
    const std::string advice = "coppice unpack " + packed + " -o DENSE.safetensors makes";
    for (const Words& words : {Words{"prune", packed, "-o", out, "--amount", "0.5"},
                               Words{"prune", packed, "-o", out, "--amount", "0.5", "--include", "0.weight"},
                               Words{"finetune", packed, "-o", out, "--data", "digits", "--include", "0.weight"},
                               Words{"finetune", packed, "-o", out, "--data", "digits"}}) {
      const Said said = run(words);
      CAPTURE(said.err);
      CHECK(said.code == 3);
      CHECK(holds(said.err, advice));
    }
    // Where some are dense, those are pruned.
    REQUIRE(run({"prune", models().mlp, "-o", pruned, "--amount", "0.9", "--include", "0.weight", "--force"}).code ==
            0);
    REQUIRE(run({"pack", pruned, "-o", packed, "--no-measure", "--force"}).code == 0);
    const Words some{"prune", packed, "-o", out, "--amount", "0.5", "--force"};
    CHECK(names_in(json_of(some).at("tensors")) == Words{"2.weight", "4.weight"});
    CHECK(holds(run(some).err, "note: 0.weight is packed and stays as it is; coppice unpack "));
  }
}
