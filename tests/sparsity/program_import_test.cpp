/// `coppice import`, and the data that `run` and `eval` refuse.

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/masked.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// `coppice import` with an architecture given as text.
Said import_with(const TempDir& dir, const std::string& weights, const std::string& arch) {
  spill(dir / "arch.json", arch);
  const Said said = run({"import", weights, "--arch", (dir / "arch.json").string(), "-o", (dir / "m.st").string()});
  if (said.code != 0) CHECK_FALSE(std::filesystem::exists(dir / "m.st"));
  return said;
}

const std::string kMlp = (kData / "mlp_digits.pt").string();

}  // namespace

TEST_SUITE("sparsity/cli/import") {
  TEST_CASE("missing and unexpected names are listed: exit code 3") {
    const TempDir dir;
    const Said said = import_with(dir, kMlp,
                                  R"({"type": "Sequential", "modules": [
                                    {"type": "Linear", "args": {"in_features": 64, "out_features": 300}},
                                    {"type": "ReLU"},
                                    {"type": "Linear", "name": "fc", "args": {"in_features": 300, "out_features": 100}}
                                  ]})");
    CHECK(said.code == 3);
    CHECK(holds(said.err, "missing: 'fc.weight', 'fc.bias'"));
    CHECK(holds(said.err, "unexpected: '2.weight', '2.bias', '4.weight', '4.bias'"));
  }

  TEST_CASE("a .pt that PyTorch wrote of a prepared model is a dense model, and a note says which weights had masks") {
    const TempDir dir;
    const std::string prepared = (std::filesystem::path(COPPICE_TESTS_DIR) / "golden/sparsifier.pt").string();
    const Said said = import_with(dir, prepared, R"({"type": "Sequential", "modules": [
        {"type": "Linear", "args": {"in_features": 8, "out_features": 8}},
        {"type": "Linear", "args": {"in_features": 8, "out_features": 4}}]})");
    CAPTURE(said.err);
    REQUIRE(said.code == 0);
    CHECK(holds(said.err, "note: 0.weight is the original of a parametrization, and dense: PyTorch saves no mask"));
    CHECK_FALSE(holds(said.err, "1.weight"));
    const nn::ModulePtr model = nn::load_model(dir / "m.st");
    CHECK(model->find_module("0")->tensor("weight") == load_tensors(prepared).at("0.parametrizations.weight.original"));
    CHECK(model->find_module("0")->derived().empty());
    // Its masks are found again by the sparsifier that made them.
    const std::string pruned = (dir / "pruned.safetensors").string();
    REQUIRE(run({"prune", (dir / "m.st").string(), "-o", pruned, "--sparsifier", "weight_norm", "--include", "0.weight",
                 "--ties", "pytorch"})
                .code == 0);
    CHECK(nn::load_model(pruned)->find_module("0")->tensor("weight") ==
          load_tensors((std::filesystem::path(COPPICE_TESTS_DIR) / "golden/sparsifier.npz").string()).at("prepared"));
  }

  TEST_CASE("shapes that differ are listed with both: exit code 3") {
    const TempDir dir;
    std::string arch = slurp(kData / "mlp_digits.arch.json");
    arch.replace(arch.find("\"out_features\": 10}"), 18, "\"out_features\": 11");
    const Said said = import_with(dir, kMlp, arch);
    CHECK(said.code == 3);
    CHECK(holds(said.err, "'4.weight': given (10, 100), own (11, 100)"));
  }

  TEST_CASE("what is wrong with an architecture names its entry: exit code 3") {
    const TempDir dir;
    const auto refused = [&](const std::string& third, const std::string& fragment) {
      const Said said = import_with(dir, kMlp,
                                    R"({"type": "Sequential", "modules": [{"type": "ReLU"}, {"type": "Sequential",
                                        "modules": [{"type": "ReLU"}, )" +
                                        third + "]}]}");
      CAPTURE(said.err);
      CHECK(said.code == 3);
      CHECK(holds(said.err, "arch.json"));
      CHECK(holds(said.err, "modules[1].modules[1]"));
      CHECK(holds(said.err, fragment));
    };
    refused(R"({"type": "Conv9d"})", "unknown type 'Conv9d'");
    refused(R"({"type": "Linear", "args": {"in_features": 2, "out_feature": 2}})", "'out_features' is missing");
    refused(R"({"type": "Linear", "args": {"in_features": 2, "out_features": 2, "biass": true}})", "'biass'");
    refused(R"({"type": "Linear", "args": {"in_features": "2", "out_features": 2}})",
            "'in_features' must be an integer");
    refused(R"({"type": "Linear", "args": {"in_features": -2, "out_features": 2}})", "at least 0");
    refused(R"({"kind": "Linear"})", "\"type\"");
    refused("7", "must be an object");
  }

  TEST_CASE("an architecture that is no JSON, or no file") {
    const TempDir dir;
    CHECK(import_with(dir, kMlp, "{\"type\": \"ReLU\"").code == 3);
    CHECK(import_with(dir, kMlp, "").code == 3);
    CHECK(import_with(dir, kMlp, std::string(100000, '[')).code == 4);
    CHECK(run({"import", kMlp, "--arch", (dir / "no.json").string(), "-o", (dir / "m").string()}).code == 5);
    CHECK(run({"import", kMlp, "--arch", dir.path().string(), "-o", (dir / "m").string()}).code == 5);
  }

  TEST_CASE("masks of a checkpoint that PyTorch pruned survive") {
    const NamedTensors written = load_tensors(kData / "lenet_digits_pruned80.pt");
    const nn::ModulePtr model = nn::load_model(models().pruned80);
    CHECK(nn::masked_slots(*model).size() == 4);
    for (const nn::MaskedSlot& slot : nn::masked_slots(*model)) {
      CHECK(slot.mask == written.at(slot.path + "_mask"));
      CHECK(nn::apply_mask(slot.original, slot.mask) ==
            nn::apply_mask(written.at(slot.path + "_orig"), written.at(slot.path + "_mask")));
    }
    CHECK(load_tensors(models().pruned80).at("6.weight_orig").shape() == Shape{104858});  // the kept values alone
  }
}

TEST_SUITE("sparsity/cli/data") {
  TEST_CASE("samples of the wrong type or shape: exit code 3, no output") {
    const TempDir dir;
    const auto file = [&](const std::string& name, const Tensor& t) {
      write_npy(dir / name, t);
      return (dir / name).string();
    };
    const std::string good = file("good.npy", zeros({5, 64})), integers = file("int.npy", zeros({5, 64}, Dtype::i64)),
                      bytes = file("u8.npy", zeros({5, 64}, Dtype::u8)), narrow = file("narrow.npy", zeros({5, 63})),
                      scalar = file("scalar.npy", zeros(Shape{})), y = file("y.npy", zeros({5}, Dtype::i64)),
                      short_y = file("short.npy", zeros({4}, Dtype::i64)),
                      float_y = file("float.npy", coppice::zeros({5})),
                      high = file("high.npy", full({5}, 10, Dtype::i64)),
                      low = file("low.npy", full({5}, -1, Dtype::i64));
    const std::size_t files = dir.size();
    for (const std::string& x : {integers, bytes, narrow, scalar}) {
      CAPTURE(x);
      for (const std::string& model : {models().mlp, models().lenet, models().lstm}) {
        CAPTURE(model);
        const Said said = run({"run", model, x, "-o", (dir / "out.npy").string()});
        CAPTURE(said.err);
        CHECK(said.code == 3);
        CHECK(said.err.size() > 20);
        CHECK(run({"eval", model, "--data", x + "," + y}).code == 3);
      }
      CHECK(run({"finetune", models().mlp, "--data", x + "," + y, "-o", (dir / "out").string()}).code == 3);
    }
    CHECK(dir.size() == files);
    for (const std::string& bad : {short_y, float_y, high, low, good}) {
      CAPTURE(bad);
      CHECK(run({"eval", models().mlp, "--data", good + "," + bad}).code == 3);
      CHECK(run({"finetune", models().mlp, "--data", good + "," + bad, "-o", (dir / "out").string()}).code == 3);
    }
    CHECK(run({"eval", models().mlp, "--data", good + "," + y}).code == 0);
    CHECK(run({"eval", models().mlp, "--data", good + ",missing.npy"}).code == 5);
    CHECK(run({"eval", models().mlp, "--data", good + "," + y + "," + y}).code == 2);
    CHECK(dir.size() == files);
  }

  TEST_CASE("float64 samples are taken, and no samples give no results") {
    const TempDir dir;
    write_npy(dir / "x.npy", ones({3, 64}, Dtype::f64));
    const std::string out = (dir / "out.npy").string();
    CHECK(run({"run", models().mlp, (dir / "x.npy").string(), "-o", out}).code == 0);
    CHECK(read_npy(out).shape() == Shape{3, 10});
    write_npy(dir / "x.npy", ones({0, 64}));
    CHECK(run({"run", models().mlp, (dir / "x.npy").string(), "-o", out, "--force"}).code == 0);
    CHECK(read_npy(out).shape() == Shape{0, 10});
  }
}
