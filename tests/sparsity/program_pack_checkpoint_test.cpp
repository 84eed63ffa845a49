/// `coppice pack` and `unpack` of checkpoints without a model, and how much memory `prune` of one takes.

#include <cstring>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/random.h"
#include "coppice/sparsity/pack/sparse_members.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const std::string kMlp = (kData / "mlp_digits.pt").string();

/// The same tensors, bit for bit.
void check_same(const std::string& a, const std::string& b) {
  const NamedTensors left = load_tensors(a), right = load_tensors(b);
  REQUIRE(left.names() == right.names());
  for (const auto& [name, tensor] : left) {
    CAPTURE(name);
    CHECK(tensor.dtype() == right.at(name).dtype());
    CHECK(tensor.shape() == right.at(name).shape());
    CHECK(std::memcmp(tensor.bytes(), right.at(name).bytes(), tensor.nbytes()) == 0);
  }
  CHECK(left.metadata() == right.metadata());
}

std::string pruned_mlp(const TempDir& dir, Words more = {}) {
  const std::string out = (dir / "pruned.safetensors").string();
  Words words{"prune", kMlp, "-o", out, "--method", "global_l1", "--amount", "0.9", "--force"};
  words.insert(words.end(), more.begin(), more.end());
  REQUIRE(run(words).code == 0);
  return out;
}

}  // namespace

TEST_SUITE("sparsity/cli/pack checkpoint") {
  TEST_CASE("at 90 % zeros at most 17 % of the bytes, and every bit comes back") {
    const TempDir dir;
    const std::string in = (dir / "pruned.safetensors").string(), packed = (dir / "packed.safetensors").string(),
                      back = (dir / "back.safetensors").string();
    for (const std::string& from : {kLenet.string(), kMlp}) {  // of the latter a hundredth are biases
      CAPTURE(from);
      REQUIRE(run({"prune", from, "-o", in, "--method", "l1_unstructured", "--amount", "0.9", "--force"}).code == 0);
      const Json report = json_of({"pack", in, "-o", packed, "--force"});
      CHECK(report.at("file_bytes") == std::filesystem::file_size(packed));
      CHECK(static_cast<double>(std::filesystem::file_size(packed)) <
            0.17 * static_cast<double>(std::filesystem::file_size(in)));
      CHECK_FALSE(report.at("as_it_was").get<bool>());
      CHECK(sparsity::is_compact(load_tensors(packed)));
      CHECK(json_of({"unpack", packed, "-o", back, "--force"}).at("tensors") == load_tensors(in).size());
      check_same(in, back);
      CHECK(run({"verify", packed}).code == 0);
    }
  }

  TEST_CASE("other commands read a packed checkpoint as what it was") {
    const TempDir dir;
    const std::string in = pruned_mlp(dir), packed = (dir / "packed.safetensors").string();
    REQUIRE(run({"pack", in, "-o", packed}).code == 0);
    CHECK(json_of({"inspect", packed}).at("tensors") == json_of({"inspect", in}).at("tensors"));
    CHECK(run({"verify", packed, "--against", in}).code == 0);
    REQUIRE(run({"convert", packed, "-o", (dir / "c.safetensors").string()}).code == 0);
    check_same(in, (dir / "c.safetensors").string());
    const Words more{"--method", "l1_unstructured", "--amount", "0.5"};
    for (const auto& [from, to] : {std::pair(in, "a.safetensors"), std::pair(packed, "b.safetensors")}) {
      Words words{"prune", from, "-o", (dir / to).string()};
      words.insert(words.end(), more.begin(), more.end());
      REQUIRE(run(words).code == 0);
    }
    check_same((dir / "a.safetensors").string(), (dir / "b.safetensors").string());
  }

  TEST_CASE("masks of 0 and 1 take a bit") {
    const TempDir dir;
    const std::string in = pruned_mlp(dir, {"--keep-masks"}), packed = (dir / "packed.safetensors").string();
    REQUIRE(run({"pack", in, "-o", packed}).code == 0);
    const Json report = json_of({"pack", in, "-o", packed, "--force"});
    for (const Json& row : report.at("tensors")) {
      const auto name = row.at("name").get<std::string>();
      if (name.ends_with("_mask"))
        CHECK(row.at("bytes").get<double>() < 0.04 * row.at("bytes_before").get<double>());
      else
        CHECK(row.at("bytes") == row.at("bytes_before"));
    }
    REQUIRE(run({"unpack", packed, "-o", (dir / "back.safetensors").string()}).code == 0);
    check_same(in, (dir / "back.safetensors").string());
  }

  TEST_CASE("what has no zeros stays as it was, or is refused where the formats differ") {
    const TempDir dir;
    const std::string in = (dir / "dense.safetensors").string(), out = (dir / "packed.safetensors").string();
    REQUIRE(run({"convert", kMlp, "-o", in}).code == 0);
    CHECK(json_of({"pack", in, "-o", out}).at("as_it_was").get<bool>());
    CHECK(slurp(in) == slurp(out));
    for (const Words& words : {Words{"unpack", out, "-o", (dir / "u.safetensors").string()},
                               Words{"pack", in, "-o", (dir / "u.safetensors").string(), "--no-measure"},
                               Words{"pack", in, "-o", (dir / "u.safetensors").string(), "--shape", "1,64"}}) {
      const Said said = run(words);
      CAPTURE(said.err);
      CHECK(said.code == (words[0] == "unpack" ? 3 : 2));
      CHECK(said.out.empty());
    }
    CHECK_FALSE(std::filesystem::exists(dir / "u.safetensors"));
  }

  TEST_CASE("metadata under the name of a tensor stays metadata") {
    const TempDir dir;
    NamedTensors tensors{{"v", ones({4})}, {"w", zeros({64, 64})}};
    Tensor(tensors.at("w")).set_({0, 0}, 2);
    tensors.metadata() = {{"w", "v"}, {"a\"coppice.crc32", "x"}};
    const std::string in = (dir / "in.safetensors").string(), packed = (dir / "p.safetensors").string(),
                      back = (dir / "b.safetensors").string(), masked = (dir / "m.safetensors").string();
    write_safetensors(in, tensors);
    REQUIRE(run({"pack", in, "-o", packed}).code == 0);
    CHECK(slurp(packed) == slurp(in));  // its members would make a tie of the note
    REQUIRE(run({"prune", in, "-o", masked, "--amount", "0.5", "--include", "w", "--keep-masks", "--checksums"}).code ==
            0);
    CHECK(load_tensors(masked).names() == Words{"v", "w_orig", "w_mask"});
    CHECK(load_tensors(masked).metadata() == std::map<std::string, std::string>{{"a\"coppice.crc32", "x"}});
    CHECK(run({"verify", masked}).code == 0);
  }

  TEST_CASE("a refusal leaves the output that is there") {
    const TempDir dir;
    write_npz(dir / "a.npz", {{"a", randn({1})}});
    const std::string out = (dir / "out.safetensors").string();
    spill(out, "old");
    // A header is larger than an archive of one number.
    const Said said = run({"pack", (dir / "a.npz").string(), "-o", out, "--force"});
    CAPTURE(said.err);
    if (said.code != 0) {
      CHECK(said.code == 3);
      CHECK(slurp(out) == "old");
    } else {
      CHECK(std::filesystem::file_size(out) <= std::filesystem::file_size(dir / "a.npz"));
    }
  }

  TEST_CASE("pruning a checkpoint takes its masks and a few tensors, not copies of it") {
    const TempDir dir;
    manual_seed(1);
    NamedTensors tensors;
    for (int i = 0; i < 16; ++i) tensors.add(cat("layers.", i, ".weight"), randn({1024, 1024}));
    write_safetensors(dir / "in.safetensors", tensors);
    const auto limit = static_cast<rlim_t>(600) << 20;  // 64 MB of tensors, mapped and private, beside the program
    for (const Words& method :
         {Words{"--method", "l1_unstructured", "--amount", "0.9"}, Words{"--method", "global_l1", "--amount", "0.9"},
          Words{"--sparsifier", "weight_norm", "--sparsity-level", "0.9", "--block", "16x1"}}) {
      Words words{"prune", (dir / "in.safetensors").string(), "-o", (dir / "out.safetensors").string(), "--force"};
      words.insert(words.end(), method.begin(), method.end());
      const Said said = run(words, {.address_bytes = limit});
      CAPTURE(said.err);
      CHECK(said.code == 0);
    }
  }
}
