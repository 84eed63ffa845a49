/// `coppice unpack`: dense layers again in the place of packed ones.

#include "coppice/nn/io/model_file.h"
#include "coppice/nn/state_dict.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

TEST_SUITE("program/unpack") {
  TEST_CASE("what pack made of a model unpack undoes, to the last bit") {
    const TempDir dir;
    const std::string pruned = dir / "pruned.safetensors", packed = dir / "packed.safetensors",
                      back = dir / "back.safetensors";
    REQUIRE(run({"prune", models().mlp, "-o", pruned, "--method", "global_l1", "--amount", "0.9"}).code == 0);
    REQUIRE(run({"pack", pruned, "-o", packed, "--no-measure"}).code == 0);
    const Said said = run({"unpack", packed, "-o", back});
    CAPTURE(said.err);
    CHECK(said.code == 0);
    CHECK(holds(said.out, "PackedLinear"));
    CHECK(holds(said.out, back));
    const NamedTensors before = nn::state_dict(*nn::load_model(pruned)), after = nn::state_dict(*nn::load_model(back));
    CHECK(before.size() == after.size());
    for (const auto& [name, tensor] : before) CHECK(after.at(name) == tensor);
    const Said json = run({"unpack", packed, "-o", back, "--force", "--json"});
    CHECK(holds(json.out, "\"coppice.unpack/1\""));
    CHECK(holds(json.out, "\"type\": \"Linear\""));
    const Json document = Json::parse(json.out);
    for (const Json& row : document.at("layers")) CHECK(holds(said.out, row.at("format")));
    CHECK(run({"finetune", back, "-o", dir / "again.safetensors", "--data", "digits", "--epochs", "1"}).code == 0);
  }

  TEST_CASE("a model without packed layers, an existing output and a bare checkpoint are refused") {
    const TempDir dir;
    const std::string out = dir / "out.safetensors";
    const Said none = run({"unpack", models().mlp, "-o", out});
    CHECK(none.code == 3);
    CHECK(holds(none.err, "has no packed layer"));
    CHECK(run({"unpack", models().mlp, "-o", models().mlp, "--force"}).code == 2);
    CHECK(run({"unpack", (kData / "mlp_digits.pt").string(), "-o", out}).code == 3);
    CHECK(run({"unpack", models().mlp, "-o", dir / "out.pt"}).code == 2);
    CHECK(dir.size() == 0);
  }
}
