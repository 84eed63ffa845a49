/// What the program makes of masks in files: X_orig and X_mask, and FakeSparsity.

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/parametrize.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const std::string kMlp = (kData / "mlp_digits.pt").string();

std::int64_t zeros_in(const Tensor& t) { return t.numel() - count_nonzero(t); }

}  // namespace

TEST_SUITE("sparsity/cli/masks") {
  TEST_CASE("a model with FakeSparsity masks: the amount counts what they leave, inspect and verify see them") {
    const TempDir dir;
    const std::string in = (dir / "in.safetensors").string(), out = (dir / "out.safetensors").string();
    const nn::ModulePtr model = nn::load_model(models().mlp);
    Tensor mask = ones(model->find_module("0")->tensor("weight").shape());
    narrow(mask, 0, 0, 1).fill_(0);
    const std::int64_t row = mask.size(1), all = mask.numel();
    nn::parametrize::register_parametrization(*model->find_module("0"), "weight",
                                              std::make_shared<nn::FakeSparsity>(mask));
    nn::save_model(*model, in);
    CHECK(json_of({"inspect", in})["weight_zeros"] == row);
    CHECK(holds(run({"verify", in}).out, "1 masks have the shape of their tensors"));
    const Json said = json_of({"prune", in, "-o", out, "--amount", "10", "--include", "0.weight"});
    CHECK(said["zeros"] == row + 10);
    CHECK(said["elements"] == all);
    const nn::ModulePtr pruned = nn::load_model(out);
    CHECK(zeros_in(pruned->find_module("0")->tensor("weight")) == row + 10);
    CHECK(pruned->find_module("0")->derived().empty());
    REQUIRE(run({"prune", in, "-o", out, "--amount", "10", "--include", "0.weight", "--keep-masks", "--force"}).code ==
            0);
    CHECK(nn::is_masked(*nn::load_model(out)->find_module("0"), "weight"));

    const std::string tuned = (dir / "tuned.safetensors").string();
    const Json epochs = json_of(
        {"finetune", in, "-o", tuned, "--data", "digits", "--epochs", "1", "--include", "0.*", "--exclude", "0.bias"});
    CHECK(epochs["sparsity"] == doctest::Approx(static_cast<double>(row) / static_cast<double>(all)));
    CHECK(nn::load_model(tuned)->find_module("0")->derived().empty());
    CHECK(json_of({"inspect", tuned})["weight_zeros"] == row);
  }

  TEST_CASE("a bare checkpoint with masks: inspect counts weights under them, import attaches them, of both families") {
    const TempDir dir;
    for (const Dtype dtype : {Dtype::f32, Dtype::f64}) {
      CAPTURE(dtype);
      const std::string in = (dir / "in.safetensors").string(), out = (dir / "out.safetensors").string();
      NamedTensors tensors;
      for (const auto& [name, tensor] : load_tensors(kMlp)) {
        if (name == "0.weight" || name == "2.weight") {
          Tensor mask = ones(tensor.shape(), dtype);
          narrow(mask, 0, 0, 1).fill_(0);
          tensors.add(name == "0.weight" ? "0.weight_orig" : "2.parametrizations.weight.original", tensor.to(dtype));
          tensors.add(name == "0.weight" ? "0.weight_mask" : "2.parametrizations.weight.0.mask", mask);
        } else {
          tensors.add(name, tensor.to(dtype));
        }
      }
      save_tensors(in, tensors);
      const std::int64_t rows =
          tensors.at("0.weight_mask").size(1) + tensors.at("2.parametrizations.weight.0.mask").size(1);
      CHECK(json_of({"inspect", in})["weight_zeros"] == rows);
      CHECK(holds(run({"inspect", in}).out, "weights: 50,200, "));
      CHECK_FALSE(json_of({"inspect", kMlp}).contains("weights"));
      CHECK(json_of({"import", in, "--arch", (kData / "mlp_digits.arch.json").string(), "-o", out,
                     "--force"})["masked"] == 2);
      CHECK(json_of({"inspect", out})["weight_zeros"] == rows);
    }
  }
}
