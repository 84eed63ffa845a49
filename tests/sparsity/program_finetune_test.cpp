/// Fine-tuning by the program in blocks, in patterns and by a list of groups, and what it says of each weight.

#include <fstream>

#include "coppice/nn/io/model_file.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// A fine-tuning of the small network, as words; `more` follows.
Words tuning(const TempDir& dir, const Words& more) {
  Words words{"finetune", models().mlp, "-o",     (dir / "out.safetensors").string(), "--data", "digits",
              "--epochs", "2",          "--force"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string bytes_of(const TempDir& dir, const Words& more) {
  REQUIRE(run(tuning(dir, more)).code == 0);
  return slurp(dir / "out.safetensors");
}

/// Exit code, the fragment on stderr, nothing written.
void refused(const TempDir& dir, const Words& more, int code, const std::string& fragment) {
  const std::size_t files = dir.size();
  const Said said = run(tuning(dir, more));
  CAPTURE(said.err);
  CHECK(said.code == code);
  CHECK(holds(said.err, fragment));
  CHECK(dir.size() == files);
}

const Json& layer(const Json& report, const std::string& name) {
  for (const Json& l : report.at("layers"))
    if (l.at("name") == name) return l;
  FAIL("no layer " << name);
  return report;
}

}  // namespace

TEST_SUITE("sparsity/cli/finetune") {
  TEST_CASE("blocks: the whole is reached, weights too narrow stay dense and are named, in text and JSON") {
    const TempDir dir;
    const Json report = json_of(tuning(dir, {"--sparsity", "0.75", "--block", "16x1", "--schedule", "step"}));
    CHECK(report.at("sparsity").get<double>() == doctest::Approx(0.75).epsilon(1e-3));
    std::int64_t weights = 0, zeros = 0;
    for (const Json& l : report.at("layers"))
      weights += l.at("weights").get<std::int64_t>(), zeros += l.at("zeros").get<std::int64_t>();
    CHECK(static_cast<double>(zeros) == doctest::Approx(0.75 * static_cast<double>(weights)).epsilon(1e-3));
    const Json& last = report.at("layers").back();
    CHECK(last.at("dense_because") == "too narrow for blocks of 16x1: it has 10 outputs");
    CHECK(last.at("zeros") == 0);
    CHECK(report.at("layers")[0].at("dense_because") == nullptr);
    const nn::ModulePtr model = nn::load_model(dir / "out.safetensors");
    const Said said = run(tuning(dir, {"--sparsity", "0.75", "--block", "16x1", "--schedule", "step"}));
    CHECK(holds(said.out, "stays dense: too narrow for blocks of 16x1: it has 10 outputs"));
    CHECK(run({"verify", (dir / "out.safetensors").string()}).code == 0);
  }

  TEST_CASE("n of m, and weights that are left out") {
    const TempDir dir;
    const Json report = json_of(tuning(dir, {"--pattern", "2:4", "--exclude", "0.weight"}));
    CHECK(layer(report, "0.weight").at("dense_because") == "left out by --include or --exclude");
    const Json& two = report.at("layers")[1];
    CHECK(two.at("zeros").get<std::int64_t>() * 2 == two.at("weights").get<std::int64_t>());
    CHECK(json_of(tuning(dir, {"--pattern", "2:4", "--sparsity", "0.5"})).at("layers").size() == 3);
  }

  TEST_CASE("a list of groups as PyTorch has it") {
    const TempDir dir;
    const std::string file = (dir / "groups.json").string();
    spill(
        file,
        R"([{"tensor_fqn": "0.weight", "sparsity_level": 0.75, "sparse_block_shape": [4, 4], "zeros_per_block": 16}])");
    const Json report = json_of(tuning(dir, {"--config", file, "--schedule", "constant"}));
    const Json& first = layer(report, "0.weight");
    CHECK(first.at("zeros").get<std::int64_t>() * 4 == first.at("weights").get<std::int64_t>() * 3);
    CHECK(report.at("layers").back().at("dense_because") == "not in the list of groups");
    spill(file, R"([{"tensor_fqn": "0.weight", "sparsity_level": 7}])");
    refused(dir, {"--config", file}, 3, "groups.json': group 0, key 'sparsity_level': must be a number in 0..1");
    spill(file, R"([{"tensor_fqn": "nothing.weight"}])");
    refused(dir, {"--config", file}, 3, "'nothing.weight' is no parameter of the model");
    refused(dir, {"--config", (dir / "none.json").string()}, 5, "none.json");
    const Said over = run({"finetune", models().mlp, "-o", file, "--data", "digits", "--config", file, "--force"});
    CHECK(over.code == 2);  // never over an input
  }

  TEST_CASE("options that exclude each other, or mean nothing") {
    const TempDir dir;
    refused(dir, {"--sparsity", "0.5", "--block", "4x1", "--pattern", "2:4"}, 2,
            "--pattern and --block exclude each other");
    refused(dir, {"--config", "g.json", "--block", "4x1"}, 2, "--config and --block exclude each other");
    refused(dir, {"--config", "g.json", "--pattern", "2:4"}, 2, "--config and --pattern exclude each other");
    refused(dir, {"--config", "g.json", "--sparsity", "0.5"}, 2, "--config and --sparsity exclude each other");
    refused(dir, {"--config", "g.json", "--include", "0.*"}, 2, "--config and --include exclude each other");
    refused(dir, {"--config", "g.json", "--exclude", "0.*"}, 2, "--config and --exclude exclude each other");
    refused(dir, {"--block", "4x1"}, 2, "--block needs --sparsity");
    refused(dir, {"--schedule", "linear"}, 2, "--schedule has an effect with --sparsity, --pattern or --config only");
    refused(dir, {"--sparsity", "0.5", "--schedule", "constant", "--ramp", "0.3"}, 2,
            "--ramp has an effect with --schedule cubic, linear or step only");
    refused(dir, {"--sparsity", "0.5", "--schedule", "square"}, 2, "square");
    refused(dir, {"--sparsity", "0.5", "--block", "4"}, 2, "a block is rows and columns, as '16x1'; got '4'");
    refused(dir, {"--sparsity", "0.5", "--block", "0x4"}, 2, "must be at least 1");
    refused(dir, {"--pattern", "5:4"}, 2, "needs 0 <= n <= m");
    refused(dir, {"--pattern", "2:4", "--sparsity", "0.9"}, 2, "--pattern 2:4 is a sparsity of 0.5, not of 0.9");
  }

  TEST_CASE("what blocks cannot reach is refused, and nothing is written") {
    const TempDir dir;
    refused(dir, {"--sparsity", "1", "--block", "16x1"}, 3, "cannot be reached");
    refused(dir, {"--sparsity", "0.5", "--block", "5000x1"}, 3, "no weight can be pruned");
  }

  TEST_CASE("--schedule cubic is what there is without it; equal bytes for 1, 2 and 7 threads") {
    const TempDir dir;
    const Words plain{"--sparsity", "0.8"};
    CHECK(bytes_of(dir, plain) == bytes_of(dir, {"--sparsity", "0.8", "--schedule", "cubic"}));
    const auto with = [&](const char* threads) {
      return bytes_of(dir, {"--sparsity", "0.8", "--block", "8x1", "--schedule", "linear", "--threads", threads});
    };
    const std::string one = with("1");
    CHECK(with("2") == one);
    CHECK(with("7") == one);
    CHECK(one != bytes_of(dir, plain));
  }

  TEST_CASE("masks are kept on request, and what was pruned in blocks is packed and gone on with") {
    const TempDir dir;
    const std::string out = (dir / "out.safetensors").string(), packed = (dir / "packed.safetensors").string();
    REQUIRE(run(tuning(dir, {"--sparsity", "0.75", "--block", "16x1", "--keep-masks"})).code == 0);
    CHECK(nn::load_model(out)->child("0")->has("weight_mask"));
    REQUIRE(run({"pack", out, "-o", packed, "--no-measure"}).code == 0);
    CHECK(std::filesystem::file_size(packed) * 2 < std::filesystem::file_size(models().mlp));
    const Json more = json_of({"finetune", out, "-o", (dir / "more.safetensors").string(), "--data", "digits",
                               "--epochs", "2", "--sparsity", "0.85", "--block", "16x1"});
    CHECK(more.at("sparsity").get<double>() == doctest::Approx(0.85).epsilon(1e-3));
  }
}
