/// `coppice verify`: it lists what it checked, finds what is damaged, and compares.

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// The rules that held, as one text.
std::string checked(const std::string& file) {
  const Json report = json_of({"verify", file});
  std::string out;
  for (const std::string rule : report.at("checked")) out += rule + '\n';
  const Said said = run({"verify", file});
  for (const std::string rule : report.at("checked")) CHECK(holds(said.out, "\n  holds: " + rule + '\n'));
  return out;
}

}  // namespace

TEST_SUITE("sparsity/cli/verify") {
  TEST_CASE("what was checked is listed, by the kind of the file") {
    const TempDir dir;
    const std::string pt = (kData / "mlp_digits.pt").string(), packed = (dir / "packed.safetensors").string();
    CHECK(holds(checked(pt), "checksums hold"));
    CHECK(holds(checked(pt), "shapes of 6 tensors"));
    CHECK(holds(checked(pt), "all 202,440 bytes"));
    save_tensors(dir / "t.safetensors", {{"x", ones({2, 2})}});
    const std::string plain = checked((dir / "t.safetensors").string());
    CHECK(holds(plain, "sizes and offsets fit the length of the file"));
    CHECK(!holds(plain, "checksums"));
    CHECK(!holds(plain, "modules"));
    CHECK(holds(checked(models().pruned80), "fit the 10 modules"));
    CHECK(holds(checked(models().pruned80), "4 masks"));
    // A masked model stays masked: bits take less than packed weights. Without its masks it is packed.
    const std::string product = (dir / "product.safetensors").string();
    REQUIRE(run({"prune", models().pruned80, "-o", product, "--amount", "0"}).code == 0);
    REQUIRE(run({"pack", product, "-o", packed, "--no-measure"}).code == 0);
    CHECK(holds(checked(packed), "indices of 4 packed layers"));
    spill(dir / "i.safetensors.index.json", R"({"weight_map": {"x": "t.safetensors"}})");
    CHECK(holds(checked((dir / "i.safetensors.index.json").string()), "the index names 1 shard"));
  }

  TEST_CASE("an architecture: its modules are built, and what is wrong with it is told") {
    const TempDir dir;
    const std::string arch = (kData / "mlp_digits.arch.json").string();
    CHECK(holds(checked(arch), "the 6 modules have known types"));
    CHECK(json_of({"verify", arch}).at("kind") == "architecture");
    CHECK(run({"verify", arch, "--against", arch}).code == 2);
    spill(dir / "a.json", R"({"type": "Linear", "args": {"in_features": -1, "out_features": 2}})");
    const Said said = run({"verify", dir / "a.json"});
    CHECK(said.code == 3);
    CHECK(holds(said.err, "(Linear)"));
    spill(dir / "a.json", R"({"type": "Linear", "type": "Linear"})");
    CHECK(holds(run({"verify", dir / "a.json"}).err, "twice"));
    // The keys of the top object decide, wherever they stand.
    const std::string wide(10'000, ' ');
    save_tensors(dir / "s.safetensors", {{"x", ones({1})}});
    spill(dir / "i.json", R"({"metadata": {"type": "x"}, )" + wide + R"("weight_map": {"x": "s.safetensors"}})");
    CHECK(json_of({"verify", dir / "i.json"}).at("kind") == "tensors");
    spill(dir / "a.json",
          R"({"modules": [{"type": "ReLU", "name": "weight_map"}], )" + wide + R"("type": "Sequential"})");
    CHECK(json_of({"verify", dir / "a.json"}).at("kind") == "architecture");
    CHECK(run({"verify", arch, "--limit-header-bytes", "10"}).code == 4);
    CHECK(run({"verify", arch, "--limit-nesting", "1"}).code == 4);
  }

  TEST_CASE("the kind of the file, its checksums, and what was left out") {
    const TempDir dir;
    CHECK(json_of({"verify", models().mlp}).at("kind") == "model");
    CHECK(holds(checked(models().mlp), "checksums of the header and of 6 tensors hold"));
    write_safetensors(dir / "s1.safetensors", {{"a", ones({1})}, {"more", ones({1})}}, {.checksums = true});
    write_safetensors(dir / "s2.safetensors", {{"b", ones({1})}}, {.checksums = true});
    const std::string index = (dir / "i.safetensors.index.json").string();
    spill(index, R"({"weight_map": {"a": "s1.safetensors", "b": "s2.safetensors"}})");
    CHECK(holds(checked(index), "checksums of the header and of 3 tensors hold"));
    CHECK(json_of({"verify", index}).at("left_out") == Json{"s1.safetensors: more"});
    CHECK(holds(run({"verify", index}).err, "left out: s1.safetensors: more"));
  }

  TEST_CASE("one flipped bit anywhere in the values of a .pt file: exit code 3 and the member") {
    const TempDir dir;
    const std::string good = slurp(kData / "mlp_digits.pt");
    for (const std::size_t at : {good.size() / 4, good.size() / 2, good.size() * 3 / 4}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ 4);
      spill(dir / "t.pt", bytes);
      const Said said = run({"verify", (dir / "t.pt").string()});
      CHECK(said.code == 3);
      CHECK(holds(said.err, "checksum"));
      CHECK(said.out.empty());
    }
  }

  TEST_CASE("differences: names on one side, types, shapes and single bits; exit code 6") {
    const TempDir dir;
    const std::string a = (dir / "a.safetensors").string(), b = (dir / "b.pt").string();
    const NamedTensors left{{"same", Tensor::of({1, 2})},
                            {"shape", ones({2})},
                            {"type", ones({2})},
                            {"sign", Tensor::of({0})},
                            {"left", ones({1})}};
    save_tensors(a, left);
    save_tensors(b, {{"same", Tensor::of({1, 2})},
                     {"shape", ones({1, 2})},
                     {"type", ones({2}, Dtype::f64)},
                     {"sign", Tensor::of({-0.0})},
                     {"right", ones({1})}});
    const Said said = run({"verify", a, "--against", b});
    CHECK(said.code == 6);
    for (const char* part :
         {"'shape' differs", "'type' differs", "'sign' differs", "'left' is only in", "'right' is only in"})
      CHECK(holds(said.out, part));
    CHECK(!holds(said.out, "'same'"));
    save_tensors(b, left);
    CHECK(run({"verify", a, "--against", b}).code == 0);
    CHECK(holds(run({"verify", a, "--against", b}).out, "bit for bit"));
  }
}
