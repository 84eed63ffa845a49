/// What the program makes of the networks that PyTorch trained: the numbers that PyTorch measured.

#include <algorithm>

#include "coppice/engine/autograd.h"
#include "coppice/engine/io/npy.h"
#include "coppice/nn/io/model_file.h"
#include "program.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::test;
using coppice::testing::differs;

namespace {

constexpr Tolerance kLogits{.rtol = 0, .atol = 1e-4};

std::int64_t correct(const std::string& model) {
  const Json report = json_of({"eval", model, "--data", "digits"});
  CHECK(report.at("count") == 360);
  return report.at("correct");
}

/// The demo, run once: the whole path from the built-in checkpoint to a packed file.
struct DemoRun {
  TempDir dir;
  Json report = json_of({"demo", dir.path().string(), "--quiet"});
  [[nodiscard]] std::string file(const std::string& name) const { return (dir / name).string(); }
};
const DemoRun& demo() {
  static const DemoRun run;
  return run;
}

}  // namespace

TEST_SUITE("sparsity/cli/results") {
  TEST_CASE("correct digits of the four networks are those that PyTorch counted") {
    const Json known = Json::parse(slurp(kData / "models.json"));
    CHECK(correct(models().lenet) == 355);
    CHECK(correct(models().mlp) == 351);
    CHECK(correct(models().lstm) == 338);
    CHECK(correct(models().pruned80) == 202);
    CHECK(known["lenet"]["test_correct"] == 355);
    CHECK(known["lenet_pruned80"]["test_correct"] == 202);
  }

  TEST_CASE("logits equal PyTorch's within 1e-4, by the program and by the library") {
    const TempDir dir;
    const std::string out = (dir / "out.npy").string();
    const Tensor images = read_npy(demo().file("test_images.npy"));
    const auto check = [&](const std::string& model, const Shape& shape, const std::string& expected) {
      CAPTURE(expected);
      const Tensor x = images.reshape(shape), logits = read_npy(kData / expected);
      write_npy(dir / "x.npy", x);
      for (const char* batch : {"1", "100", "360"}) {
        CAPTURE(batch);
        REQUIRE(run({"run", model, (dir / "x.npy").string(), "-o", out, "--force", "--batch", batch}).code == 0);
        CHECK(differs(read_npy(out), logits, kLogits) == "");
      }
      const NoGrad off;
      CHECK(differs((*nn::load_model(model))(x), logits, kLogits) == "");
    };
    check(models().lenet, {360, 1, 8, 8}, "lenet_digits_logits.npy");
    check(models().mlp, {360, 64}, "mlp_digits_logits.npy");
    check(models().lstm, {360, 8, 8}, "lstm_digits_logits.npy");
    check(models().pruned80, {360, 1, 8, 8}, "lenet_digits_pruned80_logits.npy");
  }

  TEST_CASE("90 % in one shot: 123 digits per layer, 345 globally, under both tie rules") {
    const TempDir dir;
    const std::string out = (dir / "out.safetensors").string();
    for (const char* ties : {"lowest", "pytorch"})
      for (const auto& [method, expected] : {std::pair{"l1_unstructured", 123}, std::pair{"global_l1", 345}}) {
        const auto& shown = method;  // Clang 14 cannot capture a structured binding
        CAPTURE(shown);
        const Json report = json_of(
            {"prune", models().lenet, "-o", out, "--force", "--method", method, "--amount", "0.9", "--ties", ties});
        CHECK(report.at("elements") == 548128);
        CHECK(report.at("zeros") == 493315);
        CHECK(correct(out) == expected);
      }
  }

  TEST_CASE("90 % in blocks: the demo goes the way of finetune") {
    const TempDir dir;
    const std::string out = (dir / "out.safetensors").string();
    const Json report = json_of({"finetune", models().lenet, "-o", out, "--data", "digits", "--sparsity", "0.9",
                                 "--block", "16x1", "--epochs", "5"});
    CHECK(report.at("layers") == demo().report.at("blocks").at("16x1"));
    CHECK(run({"verify", out, "--against", demo().file("sparse_16x1.safetensors")}).code == 0);
  }

  TEST_CASE("fine-tuning to 90 %: at least 353 digits") {
    const TempDir dir;
    const std::string out = (dir / "out.safetensors").string();
    const Json report = json_of({"finetune", models().lenet, "-o", out, "--data", "digits", "--sparsity", "0.9"});
    CHECK(report.at("sparsity").get<double>() == doctest::Approx(0.9).epsilon(1e-5));
    CHECK(report.at("epochs").size() <= 30);
    CHECK(correct(out) >= 353);
    // The demo goes the same way: it is told the same numbers and ends with the same values.
    CHECK(run({"verify", out, "--against", demo().file("sparse.safetensors")}).code == 0);
  }

  TEST_CASE("equal seeds give equal bytes with 1, 2 and 7 threads, another seed does not") {
    const TempDir dir;
    const auto bytes = [&](const std::string& model, const char* threads, const char* seed) {
      const std::string out = (dir / "out.safetensors").string();
      REQUIRE(run({"finetune", model, "-o", out, "--force", "--data", "digits", "--sparsity", "0.9", "--epochs", "2",
                   "--threads", threads, "--seed", seed})
                  .code == 0);
      return slurp(out);
    };
    for (const std::string& model : {models().lenet, models().mlp, models().lstm}) {
      CAPTURE(model);
      const std::string one = bytes(model, "1", "3");
      CHECK(bytes(model, "2", "3") == one);
      CHECK(bytes(model, "7", "3") == one);
    }
    CHECK(bytes(models().mlp, "1", "3") != bytes(models().mlp, "1", "4"));
  }

  TEST_CASE("packing: a sixth of the bytes at most, the same digits, the same logits within 1e-4") {
    const TempDir dir;
    const std::string sparse = demo().file("sparse.safetensors");
    const std::string images = demo().file("test_images.npy");
    const auto logits = [&](const std::string& model) {
      const std::string out = (dir / "y.npy").string();
      REQUIRE(run({"run", model, images, "-o", out, "--force"}).code == 0);
      return read_npy(out);
    };
    const Tensor expected = logits(sparse);
    for (const bool measure : {false, true}) {
      CAPTURE(measure);
      const std::string packed = (dir / "packed.safetensors").string();
      Words words{"pack", sparse, "-o", packed, "--force"};
      if (!measure) words.emplace_back("--no-measure");
      const Json report = json_of(words);
      CHECK(report.at("layers").size() == 4);
      CHECK(report.at("layers")[2].at("chosen") != "dense");
      // Which format a small layer gets when times are measured is the machine's own affair.
      if (!measure) CHECK(report.at("file_bytes").get<double>() * 6 <= report.at("file_bytes_before").get<double>());
      CHECK(std::abs(correct(packed) - correct(sparse)) <= 1);
      CHECK(differs(logits(packed), expected, kLogits) == "");
      CHECK(run({"verify", packed}).code == 0);
    }
  }

  TEST_CASE("the demo reports what the single commands give") {
    const Json& models = demo().report.at("models");
    REQUIRE(models.size() == 8);
    CHECK(models[0].at("correct") == 355);
    CHECK(models[1].at("correct") == 123);
    CHECK(models[2].at("correct") == 345);
    CHECK(models[3].at("correct").get<int>() >= 353);
    CHECK(std::abs(models[4].at("correct").get<int>() - models[3].at("correct").get<int>()) <= 1);
    CHECK(demo().report.at("packed_in_own_process_correct") == models[4].at("correct"));
    CHECK(demo().report.at("epochs").get<int>() <= 30);
    // In blocks: 90 % of all weights together, the better of both packed.
    const int wide = models[5].at("correct"), narrow = models[6].at("correct");
    CHECK(std::max(wide, narrow) >= 350);
    CHECK(std::abs(models[7].at("correct").get<int>() - std::max(wide, narrow)) <= 1);
    CHECK(models[7].at("name") == cat("blocks of ", narrow > wide ? "8x1" : "16x1", ", packed"));
    CHECK(demo().report.at("packed_blocks_in_own_process_correct") == models[7].at("correct"));
    for (const int i : {5, 6, 7})
      CHECK(models[i].at("zeros").get<double>() / models[i].at("weights").get<double>() ==
            doctest::Approx(0.9).epsilon(1e-4));
    const Json& blocks = demo().report.at("blocks");
    REQUIRE(blocks.at("16x1").size() == 4);
    CHECK(blocks.at("16x1")[3].at("dense_because") == "too narrow for blocks of 16x1: it has 10 outputs");
    CHECK(blocks.at("16x1")[3].at("zeros") == 0);
    CHECK(blocks.at("8x1")[3].at("dense_because") == nullptr);
    CHECK(Json::parse(slurp(demo().file("report.json"))) == demo().report);
    for (const Json& m : models) {
      CAPTURE(m.at("name").get<std::string>());
      CHECK(m.at("count") == 360);
      CHECK(m.at("weights") == 548128);
      CHECK(correct(m.at("file")) == m.at("correct"));
      CHECK(m.at("file_bytes") == std::filesystem::file_size(m.at("file").get<std::string>()));
    }
  }
}
