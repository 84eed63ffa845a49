/// `coppice pack`: no file grows, and what is not packed is named.

#include "coppice/engine/create.h"
#include "coppice/engine/io/npy.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/masked.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

std::string imported(const TempDir& dir, const std::string& checkpoint, const std::string& arch) {
  spill(dir / "arch.json", arch);
  const std::string out = (dir / (checkpoint + ".safetensors")).string();
  const Said said =
      run({"import", (kData / "checkpoints" / checkpoint).string(), "--arch", (dir / "arch.json").string(), "-o", out});
  CAPTURE(said.err);
  REQUIRE(said.code == 0);
  return out;
}

constexpr const char* kLstm = R"({"type": "Sequential", "modules": [
    {"type": "LSTM", "name": "lstm", "args": {"input_size": 8, "hidden_size": 20, "batch_first": true}},
    {"type": "LastStep", "args": {"batch_first": true}},
    {"type": "Linear", "name": "fc", "args": {"in_features": 20, "out_features": 4}}]})";
constexpr const char* kGrouped = R"({"type": "Sequential", "modules": [{"type": "Conv2d", "name": "c",
    "args": {"in_channels": 8, "out_channels": 8, "kernel_size": 3, "groups": 2}}]})";
constexpr const char* kNet = R"({"type": "Sequential", "modules": [
    {"type": "Linear", "args": {"in_features": 4, "out_features": 3}}, {"type": "ReLU"},
    {"type": "Linear", "args": {"in_features": 3, "out_features": 2}}]})";

}  // namespace

TEST_SUITE("sparsity/cli/pack") {
  TEST_CASE("masks of what has no packed form stay bits: the file does not grow") {
    const TempDir dir;
    const std::string in = imported(dir, "lstm90.pt", kLstm), out = (dir / "packed.safetensors").string();
    const Said said = run({"pack", in, "-o", out, "--no-measure"});
    CAPTURE(said.err);
    REQUIRE(said.code == 0);
    CHECK(holds(said.out, "not packed: lstm (LSTM): layers of type LSTM have no packed form\n"));
    CHECK(holds(said.out, "bytes: no layer of " + in + " is packed\n"));
    CHECK(std::filesystem::file_size(out) <= std::filesystem::file_size(in));
    CHECK(nn::masked_slots(*nn::load_model(out)).size() == 3);
    write_npy(dir / "x.npy", ones({2, 5, 8}));
    const std::string x = (dir / "x.npy").string(), y = (dir / "y.npy").string();
    REQUIRE(run({"run", in, x, "-o", y}).code == 0);
    const Tensor wanted = read_npy(y);
    REQUIRE(run({"run", out, x, "-o", y, "--force"}).code == 0);
    CHECK(read_npy(y) == wanted);
    const Json document = json_of({"pack", in, "-o", out, "--no-measure", "--force"});
    CHECK(document.at("not_packed")[0].at("module") == "lstm");
    CHECK(document.at("file_bytes") <= document.at("file_bytes_before"));
  }

  TEST_CASE("no file grows, whatever it holds") {
    const TempDir dir;
    const std::string out = (dir / "packed.safetensors").string(), in = (dir / "in.safetensors").string();
    for (const std::string& model : {models().lenet, models().mlp, models().lstm, models().pruned80})
      for (const char* amount : {"0.0", "0.3", "0.9"})
        for (const bool masks : {false, true}) {
          Words words{"prune", model, "-o", in, "--amount", amount, "--force"};
          if (masks) words.emplace_back("--keep-masks");
          REQUIRE(run(words).code == 0);
          CAPTURE(words);
          REQUIRE(run({"pack", in, "-o", out, "--no-measure", "--force"}).code == 0);
          CHECK(std::filesystem::file_size(out) <= std::filesystem::file_size(in));
          CHECK(run({"verify", out}).code == 0);
        }
  }

  TEST_CASE("where packing gains less than it takes to say how, the bytes of the input are written") {
    const TempDir dir;
    const std::string out = (dir / "packed.safetensors").string(), in = (dir / "in.safetensors").string();
    const std::string net = imported(dir, "net.pt", kNet);
    REQUIRE(run({"prune", net, "-o", in, "--amount", "0.9"}).code == 0);
    const Said said = run({"pack", in, "-o", out, "--no-measure"});
    CAPTURE(said.err);
    CHECK(said.code == 0);
    CHECK(holds(said.out, "a copy of"));
    CHECK(slurp(out) == slurp(in));
    CHECK(json_of({"pack", in, "-o", out, "--no-measure", "--force"}).at("as_it_was") == true);
    REQUIRE(run({"pack", models().mlp, "-o", out, "--no-measure", "--force"}).code == 0);  // nothing is zero there
    CHECK(slurp(out) == slurp(models().mlp));
  }

  TEST_CASE("a model in which nothing can be packed is refused with the reasons") {
    const TempDir dir;
    const std::string in = imported(dir, "grouped.pt", kGrouped);
    const Said said = run({"pack", in, "-o", (dir / "out.safetensors").string()});
    CHECK(said.code == 3);
    CHECK(holds(said.err, "'c' (Conv2d): convolutions with groups have no packed form; it has 2"));
    CHECK_FALSE(std::filesystem::exists(dir / "out.safetensors"));
  }

  TEST_CASE("layers of half types are named with their type, pruned or not") {
    const TempDir dir;
    spill(dir / "arch.json", kNet);
    const std::string in = (dir / "half.safetensors").string(), out = (dir / "packed.safetensors").string();
    REQUIRE(run({"import", (kData / "checkpoints/net.pt").string(), "--arch", (dir / "arch.json").string(), "-o", in,
                 "--dtype", "float16"})
                .code == 0);
    const std::string pruned = (dir / "pruned.safetensors").string();
    REQUIRE(run({"prune", in, "-o", pruned, "--method", "l1_unstructured", "--amount", "0.5"}).code == 0);
    for (const std::string& model : {in, pruned}) {
      const Said said = run({"pack", model, "-o", out});
      CAPTURE(said.err);
      CHECK(said.code == 3);
      CHECK(holds(said.err,
                  "has no layer that can be packed\n'0' (Linear): its weight is float16; packed layers are "
                  "float32\n'2' (Linear): its weight is float16"));
    }
  }

  TEST_CASE("a layer that stays masked is told of, with the command that makes its product, which is packed") {
    const TempDir dir;
    const std::string in = (dir / "masked.safetensors").string(), product = (dir / "product.safetensors").string(),
                      out = (dir / "packed.safetensors").string();
    REQUIRE(run({"import", (kData / "lenet_digits_pruned80.pt").string(), "--arch",
                 (kData / "../../sparsity/data/lenet_digits.arch.json").string(), "-o", in})
                .code == 0);
    const Said said = run({"pack", in, "-o", out, "--no-measure"});
    CHECK(said.code == 0);
    CHECK(holds(said.err, "coppice prune " + in + " -o PRODUCT.safetensors --amount 0\n"));
    CHECK(slurp(out).size() <= slurp(in).size());
    REQUIRE(run({"prune", in, "-o", product, "--amount", "0"}).code == 0);
    const Said packed = run({"pack", product, "-o", out, "--no-measure", "--force"});
    CHECK(packed.code == 0);
    CHECK_FALSE(holds(packed.err, "PRODUCT"));
    CHECK(holds(packed.out, "6: bitmask: "));
    write_npy(dir / "x.npy", ones({2, 1, 8, 8}));
    const std::string x = (dir / "x.npy").string(), y = (dir / "y.npy").string();
    REQUIRE(run({"run", in, x, "-o", y}).code == 0);
    const Tensor wanted = read_npy(y);
    REQUIRE(run({"run", out, x, "-o", y, "--force"}).code == 0);
    const Tensor got = read_npy(y);
    for (std::int64_t i = 0; i < wanted.numel(); ++i)
      CHECK(got.reshape({20}).at({i}) == doctest::Approx(wanted.reshape({20}).at({i})).epsilon(1e-4));
  }
}
