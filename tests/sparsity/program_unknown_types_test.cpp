/// Model files of another program, with modules that coppice does not know: they are tensors with names.

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/registry.h"
#include "coppice/nn/state_dict.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

class Foreign final : public nn::Implements<Foreign> {
 public:
  static constexpr std::string_view kType = "ForeignNet";
  Foreign() {
    register_parameter("gain", Tensor::of({{1, 2}, {3, 4}}));
    add_module("fc", std::make_shared<nn::Linear>(4, 3));
  }

 protected:
  [[nodiscard]] Tensor forward(const Tensor& x) const override { return x; }
};

/// The model; "fc" is pruned by half, and "gain" too if `own_mask`.
nn::ModulePtr make_model(bool own_mask) {
  static const bool registered = [] {
    nn::register_module("ForeignNet",
                        [](const nn::Arguments&) -> nn::ModulePtr { return std::make_shared<Foreign>(); });
    return true;
  }();
  (void)registered;
  const auto model =
      std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{std::make_shared<Foreign>()});
  Tensor mask = ones({3, 4});
  for (std::int64_t i = 0; i < 3; ++i) mask.set_({i, 0}, 0), mask.set_({i, i + 1}, 0);
  nn::set_mask(*model->child("0")->child("fc"), "weight", mask);
  if (own_mask) nn::set_mask(*model->child("0"), "gain", Tensor::of({{1, 0}, {0, 1}}));
  return model;
}

}  // namespace

TEST_SUITE("sparsity/cli/unknown_types") {
  TEST_CASE("inspect, verify, convert and prune work on it, and say what they do not know") {
    const TempDir dir;
    const std::string in = (dir / "m.safetensors").string(), out = (dir / "out.safetensors").string();
    nn::save_model(*make_model(false), in);
    const Said inspected = run({"inspect", in});
    CHECK(inspected.code == 0);
    CHECK(holds(inspected.err, "modules of types that this program does not know ('ForeignNet')"));
    CHECK(holds(inspected.out, "weights: "));
    const Json report = json_of({"inspect", in, "--json"});
    CHECK(report.at("unknown_types") == Json::array({"ForeignNet"}));
    const Said verified = run({"verify", in});
    CHECK(verified.code == 0);
    CHECK(holds(verified.err, "'ForeignNet'"));

    REQUIRE(run({"convert", in, "-o", (dir / "out.pt").string()}).code == 0);
    check_same_bits(load_tensors(dir / "out.pt"), nn::state_dict(*nn::load_model(in)));  // this process knows the type

    const Said pruned = run({"prune", in, "-o", out, "--amount", "0.5", "--keep-masks"});
    CAPTURE(pruned.err);
    REQUIRE(pruned.code == 0);
    const nn::ModulePtr back = nn::load_model(out);
    CHECK(nn::is_masked(*back->child("0")->child("fc"), "weight"));
    CHECK(back->child("0")->type_name() == "ForeignNet");
  }

  TEST_CASE("where it has masks of its own, its tensors are taken as they are stored") {
    const TempDir dir;
    const std::string in = (dir / "m.safetensors").string();
    nn::save_model(*make_model(true), in);
    const Said inspected = run({"inspect", in});
    CHECK(inspected.code == 0);
    CHECK(holds(inspected.err, "as they are stored"));
    CHECK(holds(inspected.out, "a model that this program cannot build"));
    CHECK(run({"verify", in}).code == 0);
    REQUIRE(run({"convert", in, "-o", (dir / "out.pt").string()}).code == 0);
    check_same_bits(load_tensors(dir / "out.pt"), read_safetensors(in));
  }

  TEST_CASE("commands that compute with it refuse it by the names of the types: exit code 3") {
    const TempDir dir;
    const std::string in = (dir / "m.safetensors").string();
    nn::save_model(*make_model(false), in);
    const Said said = run({"pack", in, "-o", (dir / "p.safetensors").string(), "--no-measure"});
    CHECK(said.code == 3);
    CHECK(holds(said.err, "'ForeignNet'"));
    CHECK(holds(said.err, "only inspect, verify, convert and prune"));
  }

  TEST_CASE("a damaged description is refused all the same") {
    const TempDir dir;
    const std::string in = (dir / "m.safetensors").string();
    NamedTensors tensors = nn::model_to_tensors(*make_model(false));
    tensors.metadata()[nn::kModelKey].pop_back();
    write_safetensors(in, tensors);
    for (const char* command : {"inspect", "verify"}) CHECK(run({command, in}).code == 3);
  }
}
