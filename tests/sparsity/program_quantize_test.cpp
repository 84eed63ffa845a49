/// `coppice quantize`: int8 models from float ones, and what the other commands make of them.

#include <cmath>

#include "coppice/engine/create.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/random.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

std::int64_t correct(const std::string& model) {
  const Said said = run({"eval", model, "--data", "digits", "--json"});
  CAPTURE(said.err);
  REQUIRE(said.code == 0);
  return Json::parse(said.out).at("correct").get<std::int64_t>();
}

}  // namespace

TEST_SUITE("program/quantize") {
  TEST_CASE("the digits in int8: as many are right, the file is a quarter, every layer is reported") {
    const TempDir dir;
    for (const std::string& model : {models().mlp, models().lenet}) {
      const std::string out = dir / "int8.safetensors";
      for (const char* qconfig : {"x86", "qnnpack"}) {
        CAPTURE(model);
        const Said said = run({"quantize", model, "-o", out, "--data", "digits", "--qconfig", qconfig, "--force"});
        CAPTURE(said.err);
        REQUIRE(said.code == 0);
        CHECK(holds(said.out, "LinearReLU"));
        CHECK(holds(said.out, " dB"));
        CHECK(std::abs(correct(out) - correct(model)) <= 2);
        CHECK(std::filesystem::file_size(out) < 0.45 * static_cast<double>(std::filesystem::file_size(model)));
      }
      const Said json = run({"quantize", model, "-o", out, "--data", "digits", "--force", "--json"});
      const Json document = Json::parse(json.out);
      CHECK(document.at("layers").size() >= 3);
      for (const Json& layer : document.at("layers")) {
        CHECK(layer.at("signal_to_noise_db").get<double>() > 15);
        CHECK(layer.at("scale").get<double>() > 0);
        CHECK(layer.at("bytes").get<std::int64_t>() < layer.at("bytes_before").get<std::int64_t>());
      }
      CHECK(run({"inspect", out}).code == 0);
      CHECK(run({"verify", out}).code == 0);
      const Said torch = run({"convert", out, "-o", dir / "int8.pt"});
      CHECK(torch.code == 3);
      CHECK(holds(torch.err, "quantised"));
      CHECK(run({"convert", out, "-o", dir / "plain.safetensors", "--force"}).code == 0);
      const Said floats = run({"convert", out, "-o", dir / "floats.pt", "--dtype", "f32", "--force"});
      CHECK(floats.code == 0);
      CHECK(holds(floats.err, "tensors were converted to float32"));
    }
  }

  TEST_CASE("pruned in blocks, then quantised: the zeros stay") {
    const TempDir dir;
    const std::string pruned = dir / "pruned.safetensors", out = dir / "int8.safetensors";
    REQUIRE(run({"prune", models().mlp, "-o", pruned, "--sparsifier", "weight_norm", "--block", "1x4",
                 "--sparsity-level", "0.5"})
                .code == 0);
    for (const bool dynamic : {false, true}) {
      std::vector<std::string> words{"quantize", pruned, "-o", out, "--data", "digits", "--force"};
      if (dynamic) words.emplace_back("--dynamic");
      const Said said = run(words);
      CAPTURE(said.err);
      REQUIRE(said.code == 0);
      CHECK(std::abs(correct(out) - correct(pruned)) <= 3);
    }
    CHECK(run({"quantize", pruned, "-o", out, "--dynamic", "--force"}).code == 0);
  }

  TEST_CASE("what is missing or does not fit is said, and nothing is written") {
    const TempDir dir;
    const std::string out = dir / "int8.safetensors", wrong = dir / "x.npy";
    CHECK(run({"quantize", models().mlp, "-o", out}).code == 2);
    CHECK(run({"quantize", models().mlp, "-o", models().mlp, "--data", "digits", "--force"}).code == 2);
    CHECK(run({"quantize", models().mlp, "-o", out, "--data", "digits", "--qconfig", "cuda"}).code == 2);
    CHECK(run({"quantize", models().mlp, "-o", out, "--data", dir / "none.npy"}).code == 5);
    CHECK(run({"quantize", (kData / "mlp_digits.pt").string(), "-o", out, "--data", "digits"}).code == 3);
    write_npy(wrong, ones({4, 7}));
    CHECK(run({"quantize", models().mlp, "-o", out, "--data", wrong}).code == 3);
    write_npy(wrong, full({4, 64}, std::nan("")));
    const Said nan = run({"quantize", models().mlp, "-o", out, "--data", wrong});
    CHECK(nan.code == 3);
    CHECK(holds(nan.err, "holds NaN"));
    const Said lstm = run({"quantize", models().lstm, "-o", out, "--data", "digits"});
    CHECK(lstm.code != 0);
    CHECK(holds(lstm.err, "LSTM"));
    CHECK(std::filesystem::exists(out) == false);
  }
}
