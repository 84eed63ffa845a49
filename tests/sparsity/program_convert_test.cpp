/// `coppice convert`: every pair of formats, what a format cannot hold, models, and shards.

#include <cmath>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/masks/masked.h"
#include "coppice/nn/state_dict.h"
#include "engine/io/every_kind.h"
#include "program_refused.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const std::vector<std::string> kFormats{".pt", ".pth", ".bin", ".safetensors", ".npz"};

/// Refused with `code` and `fragment`, and nothing is written.
void check_refused(const TempDir& dir, const std::string& in, const std::string& out, int code,
                   const std::string& fragment, const Words& more = {}) {
  Words words{"convert", in, "-o", out};
  words.insert(words.end(), more.begin(), more.end());
  check_command_refused(dir, words, code, fragment);
}

/// Converts and reads the result.
NamedTensors converted(const std::string& in, const std::filesystem::path& out, const Words& more = {}) {
  Words words{"convert", in, "-o", out.string(), "--force"};
  words.insert(words.end(), more.begin(), more.end());
  const Said said = run(words);
  CAPTURE(said.err);
  REQUIRE(said.code == 0);
  return load_tensors(out);
}

}  // namespace

TEST_SUITE("sparsity/cli/convert") {
  TEST_CASE("every pair of formats keeps names, order, types, shapes and bits") {
    const TempDir dir;
    for (const std::string& from : kFormats)
      for (const std::string& to : kFormats) {
        CAPTURE(from);
        CAPTURE(to);
        const NamedTensors tensors = every_kind(from != ".npz" && to != ".npz");  // NumPy has no bfloat16
        save_tensors(dir / ("in" + from), tensors);
        check_same_bits(converted((dir / ("in" + from)).string(), dir / ("out" + to)), tensors);
      }
  }

  TEST_CASE("one array goes from .npy to every format and back, under the name of its file") {
    const TempDir dir;
    for (const auto& [name, tensor] : every_kind(false)) {
      const auto& shown = name;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      write_npy(dir / "one.npy", tensor);
      for (const std::string& format : kFormats) {
        CAPTURE(format);
        const NamedTensors there = converted((dir / "one.npy").string(), dir / ("there" + format));
        check_same_bits(there, {{"one", tensor}});
        check_same_bits(converted((dir / ("there" + format)).string(), dir / "back.npy"), {{"back", tensor}});
      }
    }
  }

  TEST_CASE("real checkpoints of both PyTorch versions and both formats of theirs") {
    const TempDir dir;
    for (const char* name : {"tensors_1_13.pt", "tensors_2_13.pt", "legacy_1_13.pt", "legacy_2_13.pt"}) {
      CAPTURE(name);
      const std::string in = (kData / "torch" / name).string();
      check_same_bits(converted(in, dir / "t.safetensors"), load_tensors(in));
      check_same_bits(converted((dir / "t.safetensors").string(), dir / "t.pt"), load_tensors(in));
    }
  }

  TEST_CASE("whatever is no tensor is left out and named") {
    const TempDir dir;
    const std::string in = (kData / "torch/checkpoint_2_13.pt").string(), out = (dir / "c.safetensors").string();
    const Said said = run({"convert", in, "-o", out});
    CHECK(said.code == 0);
    for (const char* what : {"epoch", "history", "optimizer.param_groups", "note", "sizes", "device"})
      CHECK(holds(said.err, cat("left out: ", what, "\n")));
    CHECK(load_tensors(out).contains("optimizer.state.0.exp_avg"));
    const Json report = json_of({"convert", in, "-o", out, "--force"});
    CHECK(report.at("left_out").size() == 6);
    CHECK(report.at("tensors") == 19);
    CHECK(report.at("file_bytes") == std::filesystem::file_size(out));
    CHECK(run({"convert", in, "-o", out, "--force", "--quiet"}).err.empty());
  }

  TEST_CASE("texts of a safetensors file stay in safetensors, and are named where they cannot stay") {
    const TempDir dir;
    NamedTensors tensors{{"x", Tensor::of(1)}};
    tensors.metadata() = {{"format", "pt"}, {"note", "mine"}};
    write_safetensors(dir / "in.safetensors", tensors);
    const std::string in = (dir / "in.safetensors").string();
    CHECK(converted(in, dir / "out.safetensors").metadata() == tensors.metadata());
    CHECK(run({"convert", in, "-o", (dir / "out.pt").string()}).err == "left out: metadata note\n");
    // Tensors of PyTorch's are marked as such; other people's are not.
    CHECK(converted((dir / "out.pt").string(), dir / "again.safetensors").metadata().at("format") == "pt");
    CHECK(converted(models().mlp, dir / "again.safetensors").metadata().at("format") == "pt");
    CHECK(converted((dir / "out.pt").string(), dir / "x.npy").size() == 1);
    CHECK(converted((dir / "x.npy").string(), dir / "again.safetensors").metadata().empty());
  }

  TEST_CASE("what a format cannot hold is refused before anything is written: exit code 3") {
    const TempDir dir;
    const std::string in = (dir / "in.pt").string(), npz = (dir / "in.npz").string();
    save_tensors(in, every_kind());
    check_refused(dir, in, (dir / "out.npz").string(), 3, "bfloat16, the type of 'bf16'; --dtype float32");
    check_refused(dir, in, (dir / "out.npy").string(), 3, "one tensor; there are 13");
    save_tensors(npz, {{"__metadata__", Tensor::of(1)}});
    check_refused(dir, npz, (dir / "out.safetensors").string(), 3, "'__metadata__'");
    save_tensors(in, {{"../x", Tensor::of(1)}});
    check_refused(dir, in, (dir / "out.npz").string(), 3, "'../x'");
    const std::string complex = (kData / "torch/refused_complex_2_13.pt").string();
    check_refused(dir, complex, (dir / "out.npz").string(), 3, "'z'", {"--strict"});
    const Said said = run({"convert", complex, "-o", (dir / "a.npz").string()});
    CHECK(said.code == 0);
    CHECK(holds(said.err, "left out: z: a tensor of ComplexFloatStorage\n"));
  }

  TEST_CASE("another extension, the input itself or an existing output: exit code 2") {
    const TempDir dir;
    const std::string in = (dir / "in.pt").string(), out = (dir / "out.npz").string();
    save_tensors(in, {{"x", Tensor::of(1)}});
    check_refused(dir, in, (dir / "out.dat").string(), 2, "must end in");
    check_refused(dir, in, (dir / "out").string(), 2, "must end in");
    check_refused(dir, in, in, 2, "is the input", {"--force"});
    check_refused(dir, in, out, 2, "--dtype", {"--dtype", "int8"});
    spill(out, "mine");
    check_refused(dir, in, out, 2, "--force");
    CHECK(slurp(out) == "mine");
  }

  TEST_CASE("types are kept, and --dtype takes short names and says how many it converted") {
    const TempDir dir;
    const std::string in = (dir / "in.pt").string(), out = (dir / "out.safetensors").string();
    for (const auto& [word, dtype] : {std::pair("f16", Dtype::f16), {"bf16", Dtype::bf16}, {"f64", Dtype::f64}}) {
      CAPTURE(word);
      NamedTensors tensors{{"w", Tensor::of({{1, 2.5}}).to(dtype)}, {"n", Tensor::of(2).to(Dtype::i64)}};
      save_tensors(in, tensors);
      check_same_bits(converted(in, out), tensors);
      const Said kept = run({"convert", in, "-o", out, "--force", "--dtype", word});
      CHECK(kept.code == 0);
      CHECK(kept.err.empty());
      const Said said = run({"convert", in, "-o", out, "--force", "--dtype", "f32"});
      CHECK(said.code == 0);
      CHECK(said.err == "note: 1 of 2 tensors were converted to float32\n");
      CHECK(load_tensors(out).at("w") == Tensor::of({{1, 2.5}}));
    }
  }

  TEST_CASE("tied tensors stay tied in every format that can, also after --dtype") {
    const TempDir dir;
    const Tensor w = Tensor::of({{1, 2}, {3, 4}});
    save_tensors(dir / "in.pt", {{"embed.weight", w}, {"own", w.clone()}, {"head.weight", w}});
    for (const Words& more : {Words{}, Words{"--dtype", "f16"}}) {
      const NamedTensors one = converted((dir / "in.pt").string(), dir / "t.safetensors", more);
      CHECK(read_safetensors_header(dir / "t.safetensors").metadata.at("head.weight") == "embed.weight");
      const NamedTensors back = converted((dir / "t.safetensors").string(), dir / "back.pt");
      for (const NamedTensors& tensors : {one, back}) {
        CHECK(tensors.size() == 3);
        CHECK(tensors.at("head.weight").shares_storage(tensors.at("embed.weight")));
        CHECK(!tensors.at("own").shares_storage(tensors.at("embed.weight")));
      }
    }
    CHECK(converted((dir / "t.safetensors").string(), dir / "t.npz").size() == 3);
  }

  TEST_CASE("what is not read is left out by name, read with its option, and refused with --strict") {
    const TempDir dir;
    const std::string f8 = std::string(COPPICE_TESTS_DIR) + "/golden/float8.safetensors", out = (dir / "o.pt").string();
    const Said said = run({"convert", f8, "-o", out});
    CHECK(said.code == 0);
    CHECK(holds(said.err, "left out: F8_E4M3: F8_E4M3 of shape (16, 16)"));
    CHECK(json_of({"convert", f8, "-o", out, "--force"}).at("left_out").size() == 5);
    CHECK(converted(f8, out, {"--widen-f8"}).at("F8_E5M2").dtype() == Dtype::f32);
    check_refused(dir, f8, (dir / "x.pt").string(), 3, "'F8_E5M2FNUZ' has element type F8_E5M2FNUZ", {"--strict"});

    const std::string header = "{'descr': '<V2', 'fortran_order': False, 'shape': (1,), }\n";
    spill(dir / "b.npy", "\x93NUMPY\1" + std::string(1, '\0') + le(header.size(), 2) + header + "\x80\x3f");
    check_refused(dir, (dir / "b.npy").string(), (dir / "x.pt").string(), 3, "--v2-is-bf16");
    CHECK(converted((dir / "b.npy").string(), out, {"--v2-is-bf16"}).at("b").dtype() == Dtype::bf16);
  }

  TEST_CASE("the shards of a cache are links, followed inside of it; elsewhere only with --follow-links") {
    const TempDir dir;
    const auto hub = dir / "hub", snapshot = hub / "snapshots/abc";
    std::filesystem::create_directories(hub / "blobs");
    std::filesystem::create_directories(snapshot);
    write_safetensors(hub / "blobs/1", {{"a", Tensor::of({1, 2})}});
    std::filesystem::create_symlink("../../blobs/1", snapshot / "m-1.safetensors");
    spill(snapshot / "m.index.json", R"({"weight_map": {"a": "m-1.safetensors"}})");
    const std::string in = (snapshot / "m.index.json").string();
    check_same_bits(converted(in, dir / "out.pt"), {{"a", Tensor::of({1, 2})}});
    CHECK(run({"inspect", in}).code == 0);
    CHECK(run({"verify", in}).code == 0);
    // The file behind the link is an input too.
    CHECK(run({"convert", in, "-o", (hub / "blobs/1").string(), "--force"}).code == 2);

    std::filesystem::rename(hub / "snapshots", hub / "other");
    const std::string moved = (hub / "other/abc/m.index.json").string();
    check_refused(dir, moved, (dir / "x.pt").string(), 3, "--follow-links");
    check_same_bits(converted(moved, dir / "out.pt", {"--follow-links"}), {{"a", Tensor::of({1, 2})}});
  }

  TEST_CASE("--dtype converts floating tensors, and says where numbers became infinite") {
    const TempDir dir;
    const std::string in = (dir / "in.safetensors").string();
    save_tensors(in, every_kind());
    const NamedTensors wide = converted(in, dir / "out.npz", {"--dtype", "float32"});
    for (const auto& [name, tensor] : every_kind()) {
      const Dtype expected = is_floating(tensor.dtype()) ? Dtype::f32 : tensor.dtype();
      CHECK(wide.at(name).dtype() == expected);
      if (tensor.dtype() == Dtype::bf16) CHECK(wide.at(name).to(Dtype::bf16).bytes()[0] == tensor.bytes()[0]);
    }
    save_tensors(dir / "big.npz", {{"x", Tensor::of({1, 70000, -70000, INFINITY})}, {"n", Tensor::of(2)}});
    const Said said =
        run({"convert", (dir / "big.npz").string(), "-o", (dir / "half.pt").string(), "--dtype", "float16"});
    CHECK(said.code == 0);
    CHECK(holds(said.err, "2 numbers of x are too large for float16"));
    CHECK(!holds(said.err, "of n"));
    CHECK(load_tensors(dir / "half.pt").at("x").to_vector<float>() ==
          std::vector<float>{1, INFINITY, -INFINITY, INFINITY});
  }

  TEST_CASE("a model gives PyTorch's state dict: masks as numbers beside their originals") {
    const TempDir dir;
    const NamedTensors plain = converted(models().pruned80, dir / "m.pt");
    const nn::ModulePtr model = nn::load_model(models().pruned80);
    check_same_bits(plain, nn::state_dict(*model));
    const NamedTensors torch = load_tensors(kData / "lenet_digits_pruned80.pt");
    CHECK(plain.names() == torch.names());
    CHECK(plain.at("6.weight_mask") == torch.at("6.weight_mask"));
    CHECK(plain.at("6.weight_mask").dtype() == Dtype::f32);
    CHECK(nn::apply_mask(plain.at("6.weight_orig"), plain.at("6.weight_mask")) ==
          nn::apply_mask(torch.at("6.weight_orig"), torch.at("6.weight_mask")));
    CHECK(nn::is_model(load_tensors(models().pruned80)));
    CHECK_FALSE(nn::is_model(converted(models().pruned80, dir / "m.safetensors")));
    check_same_bits(converted(models().lstm, dir / "lstm.pt"), load_tensors(kData / "lstm_digits.pt"));
  }

  TEST_CASE("packed layers are unpacked under the names that PyTorch gives them") {
    const TempDir dir;
    const std::string pruned = (dir / "p.safetensors").string(), packed = (dir / "q.safetensors").string();
    REQUIRE(run({"prune", models().lenet, "-o", pruned, "--amount", "0.9"}).code == 0);
    REQUIRE(run({"pack", pruned, "-o", packed, "--no-measure"}).code == 0);
    const NamedTensors plain = converted(packed, dir / "plain.pt"), before = load_tensors(kLenet);
    CHECK(plain.names() == before.names());
    const NamedTensors dense = converted(pruned, dir / "dense.pt");
    for (const auto& [name, tensor] : plain) CHECK(tensor == dense.at(name));
  }

  TEST_CASE("a sharded checkpoint: one file, and its shards count as inputs") {
    const TempDir dir;
    write_safetensors(dir / "s1.safetensors", {{"a.weight", ones({4, 4})}});
    write_safetensors(dir / "s2.safetensors", {{"b.weight", ones({2, 2})}});
    const std::string index = (dir / "model.safetensors.index.json").string();
    spill(index, R"({"weight_map": {"a.weight": "s1.safetensors", "b.weight": "s2.safetensors"}})");
    const NamedTensors whole{{"a.weight", ones({4, 4})}, {"b.weight", ones({2, 2})}};
    check_same_bits(converted(index, dir / "whole.pt"), whole);
    const std::string renamed = (dir / "index").string(), wide = (dir / "wide.json").string();
    std::filesystem::copy_file(index, renamed);
    spill(wide, slurp(index) + std::string(std::size_t{17} << 20, ' '));  // larger than the limit of a header
    for (const Words& words : {Words{"convert", index}, Words{"prune", index, "--amount", "0.5"},
                               Words{"convert", renamed}, Words{"convert", wide, "--limit-header-bytes", "20000000"}}) {
      CAPTURE(words[1]);
      Words onto = words;
      onto.insert(onto.end(), {"-o", (dir / "s2.safetensors").string(), "--force"});
      const Said said = run(onto);
      CHECK(said.code == 2);
      CHECK(holds(said.err, "is the input"));
    }
    CHECK(json_of({"inspect", index}).at("tensors").size() == 2);
    CHECK(json_of({"inspect", index}).at("file_bytes") == std::filesystem::file_size(index) +
                                                              std::filesystem::file_size(dir / "s1.safetensors") +
                                                              std::filesystem::file_size(dir / "s2.safetensors"));
    CHECK(run({"verify", index, "--against", (dir / "whole.pt").string()}).code == 0);
    CHECK(holds(run({"verify", index}).out, "the index names 2 shards"));
    const std::string out = (dir / "pruned.safetensors").string();
    REQUIRE(run({"prune", index, "-o", out, "--amount", "0.5"}).code == 0);
    CHECK(load_tensors(out).names() == whole.names());
    spill(index, R"({"weight_map": {"a.weight": "../s1.safetensors"}})");
    for (const char* command : {"inspect", "verify"}) CHECK(run({command, index}).code == 3);
  }

  TEST_CASE("--checksums: a flipped bit of the output is found; without them the file says nothing of them") {
    const TempDir dir;
    const std::string mlp = (kData / "mlp_digits.pt").string(), out = (dir / "out.safetensors").string();
    for (const Words& words : {Words{"convert", mlp, "-o", out}, Words{"prune", mlp, "-o", out, "--amount", "0.5"}}) {
      CAPTURE(words[0]);
      Words with = words;
      with.insert(with.end(), {"--checksums", "--force"});
      REQUIRE(run(with).code == 0);
      CHECK(holds(run({"verify", out}).out, "checksums of the header and of 6 tensors hold"));
      CHECK(json_of({"inspect", out}).at("metadata").size() == 1);  // "format": "pt" alone
      std::string bytes = slurp(out);
      bytes[bytes.size() - 3] ^= 16;
      spill(out, bytes);
      CHECK(run({"inspect", out}).code == 3);
      // A checkpoint that carries checksums keeps them, unless they were not compared.
      REQUIRE(run(with).code == 0);
      const std::string again = (dir / "again.safetensors").string();
      for (const bool compare : {true, false}) {
        Words on{words[0], out, "-o", again, "--force"};
        if (words[0] == "prune") on.insert(on.end(), {"--amount", "1"});
        if (!compare) on.emplace_back("--no-checksums");
        REQUIRE(run(on).code == 0);
        CHECK((slurp(again).find("crc32") != std::string::npos) == compare);
      }
      Words without = words;
      without.emplace_back("--force");
      REQUIRE(run(without).code == 0);
      CHECK(!holds(run({"verify", out}).out, "checksums"));
      CHECK(slurp(out).find("crc32") == std::string::npos);
    }
    for (const char* name : {"out.pt", "out.npz"}) {
      const Said said = run({"convert", mlp, "-o", dir / name, "--checksums"});
      CHECK(said.code == 2);
      CHECK(holds(said.err, "--checksums has an effect with .safetensors only"));
      CHECK(!std::filesystem::exists(dir / name));
    }
    // A model's checksums are not handed on to a file that holds other tensors.
    REQUIRE(run({"convert", models().mlp, "-o", out, "--force"}).code == 0);
    CHECK(run({"verify", out}).code == 0);
    CHECK(slurp(out).find("crc32") == std::string::npos);
  }
}
