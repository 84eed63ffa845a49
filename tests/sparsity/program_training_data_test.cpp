/// What `finetune`, `eval` and `run` say of the samples, and which weights have masks after a training.

#include <cmath>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/random.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/masked.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// Models of checkpoints that PyTorch wrote, and 33 samples of four numbers for them.
struct Samples {
  TempDir dir;
  std::string x = (dir / "x.npy").string(), y = (dir / "y.npy").string(), out = (dir / "out.safetensors").string();
  std::string first = made("pruned_first.pt", false), normed = made("batch_norm.pt", true);
  std::string data = x + "," + y;

  Samples() {
    Generator generator(3);
    write_npy(x, randn({33, 4}, Dtype::f32, &generator));
    write_npy(y, randint(0, 2, {33}, Dtype::i64, &generator));
  }

 private:
  [[nodiscard]] std::string made(const std::string& checkpoint, bool norm) const {
    const std::string arch = (dir / "arch.json").string(), model = (dir / (checkpoint + ".safetensors")).string();
    spill(arch, std::string(R"({"type": "Sequential", "modules": [
        {"type": "Linear", "args": {"in_features": 4, "out_features": 3}},)") +
                    (norm ? R"({"type": "BatchNorm1d", "args": {"num_features": 3}},)" : "") +
                    R"({"type": "ReLU"}, {"type": "Linear", "args": {"in_features": 3, "out_features": 2}}]})");
    const Said said = run({"import", (kData / "checkpoints" / checkpoint).string(), "--arch", arch, "-o", model});
    CAPTURE(said.err);
    REQUIRE(said.code == 0);
    return model;
  }
};

}  // namespace

TEST_SUITE("sparsity/cli/training_data") {
  TEST_CASE("--keep-masks keeps masks where there are any, and the public name of a masked weight is its name") {
    const Samples s;
    REQUIRE(run({"finetune", s.first, "-o", s.out, "--data", s.data, "--epochs", "2", "--keep-masks"}).code == 0);
    const nn::ModulePtr model = nn::load_model(s.out);
    REQUIRE(nn::masked_slots(*model).size() == 1);
    CHECK(nn::masked_slots(*model)[0].path == "0.weight");
    CHECK(nn::masked_slots(*model)[0].mask.to(Dtype::f32) ==
          load_tensors(kData / "checkpoints/pruned_first.pt").at("0.weight_mask"));
    const Json one = json_of({"finetune", s.first, "-o", s.out, "--data", s.data, "--epochs", "1", "--force",
                              "--include", "0.weight", "--sparsity", "0.75"});
    CHECK(one.at("sparsity") == 0.75);
  }

  TEST_CASE("a last batch of one sample is no end of the run where there is a batch norm; a warning tells") {
    const Samples s;
    const Said said = run(
        {"finetune", s.normed, "-o", s.out, "--data", s.data, "--epochs", "2", "--batch", "16", "--validation", "0"});
    CAPTURE(said.err);
    CHECK(said.code == 0);
    CHECK(holds(said.err, "the last batch has 17"));
    CHECK_FALSE(holds(run({"finetune", s.normed, "-o", s.out, "--data", s.data, "--epochs", "1", "--batch", "11",
                           "--validation", "0", "--force"})
                          .err,
                      "the last batch"));
  }

  TEST_CASE("a class that is none is named by its place in the file") {
    const Samples s;
    Tensor y = read_npy(s.y);
    y.set_({5}, -1);
    write_npy(s.y, y);
    for (const Words& words :
         {Words{"finetune", s.first, "-o", s.out, "--data", s.data}, Words{"eval", s.first, "--data", s.data}}) {
      const Said said = run(words);
      CHECK(said.code == 3);
      CHECK(holds(said.err, "class -1 of sample 5 is outside 0..1"));
    }
    CHECK_FALSE(std::filesystem::exists(s.out));
  }

  TEST_CASE("NaN among the samples: an error of eval and finetune, a note of run") {
    const Samples s;
    Tensor x = read_npy(s.x);
    x.set_({7, 2}, NAN);
    write_npy(s.x, x);
    const Said said = run({"eval", s.first, "--data", s.data});
    CHECK(said.code == 3);
    CHECK(holds(said.err, "sample 7 of '" + s.x + "' holds NaN"));
    CHECK(run({"finetune", s.first, "-o", s.out, "--data", s.data}).code == 3);
    const Said ran = run({"run", s.first, s.x, "-o", (s.dir / "out.npy").string()});
    CHECK(ran.code == 0);
    CHECK(holds(ran.err, "note: sample 7 of '" + s.x + "' holds NaN"));
  }

  TEST_CASE("a fine-tuning that empties a weight says so") {
    const Samples s;
    const Said said = run({"finetune", s.first, "-o", s.out, "--data", s.data, "--epochs", "1", "--sparsity", "1"});
    CHECK(said.code == 0);
    CHECK(holds(said.err, "note: 0.weight is wholly zero"));
    CHECK(holds(said.err, "note: 2.weight is wholly zero"));
  }

  TEST_CASE("models of other types than float32 take their samples in their own") {
    const Samples s;
    const std::string half = (s.dir / "half.safetensors").string(), y = (s.dir / "out.npy").string();
    for (const auto& [type, dtype] :
         {std::pair("float16", Dtype::f16), {"float64", Dtype::f64}, {"bfloat16", Dtype::f32}}) {
      CAPTURE(type);
      spill(s.dir / "plain.json", R"({"type": "Sequential", "modules": [
          {"type": "Linear", "args": {"in_features": 4, "out_features": 3}}, {"type": "ReLU"},
          {"type": "Linear", "args": {"in_features": 3, "out_features": 2}}]})");
      REQUIRE(run({"import", (kData / "checkpoints/pruned_first.pt").string(), "--arch",
                   (s.dir / "plain.json").string(), "-o", half, "--dtype", type, "--force"})
                  .code == 0);
      REQUIRE(run({"run", half, s.x, "-o", y, "--force"}).code == 0);
      CHECK(read_npy(y).dtype() == dtype);
      CHECK(json_of({"eval", half, "--data", s.data}).at("count") == 33);
    }
  }
}
