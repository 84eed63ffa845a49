/// Files that are sound and still ask a command for too much, show a terminal what it must not see, or stand where an
/// output is wanted.

#include <fstream>

#include "coppice/engine/create.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/io/torch_file.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/embedding.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/lstm.h"
#include "hostile/child.h"
#include "hostile/pickle.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// The .npy header of this shape and type, without data.
std::string npy_of(const std::string& type, const std::string& shape) {
  const std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + "}\n";
  return std::string("\x93NUMPY\1\0", 8) + le(header.size(), 2) + header;
}

/// A model file whose description of modules is this text.
std::string model_of(const std::string& tree, NamedTensors tensors, const TempDir& dir) {
  tensors.metadata()["coppice.model"] = R"({"format":1,"producer":"x","model":)" + tree + "}";
  write_safetensors(dir / "made.safetensors", tensors);
  return (dir / "made.safetensors").string();
}

/// Whether /proc/PID/maps names the file yet.
bool maps(pid_t pid, const std::string& path) {
  std::ifstream file(cat("/proc/", static_cast<std::int64_t>(pid), "/maps"));
  for (std::string line; std::getline(file, line);)
    if (line.find(path) != line.npos) return true;
  return false;
}

}  // namespace

TEST_SUITE("sparsity/cli/hostile") {
  TEST_CASE("H29: a mapped file that is cut short while it is read: exit code 5 and the name of the file") {
    const TempDir dir;
    const std::string path = (dir / "\u202ebig.safetensors").string();
    const std::int64_t bytes = std::int64_t{1} << 34;  // a hole that takes seconds to read
    for (const char* command : {"verify", "inspect"}) {
      CAPTURE(command);
      spill(path, st(cat(R"({"weight":{"dtype":"U8","shape":[)", bytes, R"(],"data_offsets":[0,)", bytes, "]}}")));
      std::filesystem::resize_file(path, std::filesystem::file_size(path) + static_cast<std::uint64_t>(bytes));
      Child child({command, path});
      for (int i = 0; i < 60'000 && !maps(child.pid(), path); ++i) ::usleep(1000);
      std::filesystem::resize_file(path, 8192);
      const Said said = child.wait();
      CAPTURE(said.err);
      CHECK(said.code == 5);
      CHECK(holds(said.err, "/\\xe2\\x80\\xaebig.safetensors' became shorter while it was read"));
      CHECK(said.out.empty());
    }
  }

  TEST_CASE("a packed layer of a few bytes is not unpacked into gigabytes") {
    const TempDir dir;
    const std::string model = model_of(
        R"({"type":"PackedLinear","args":{"in_features":1000000000,"out_features":1,"bias":false,"format":"csr"}})",
        {{"row_offsets", full({2}, 0, Dtype::i32)}, {"columns", full({0}, 0, Dtype::i32)}, {"values", full({0}, 0)}},
        dir);
    const std::string out = (dir / "out.safetensors").string();
    CHECK(run({"verify", model}).code == 0);
    const Said said = run({"convert", model, "-o", out});
    CAPTURE(said.err);
    CHECK(said.code == 4);
    CHECK(holds(said.err, "Limits::extra_bytes"));
    CHECK(holds(said.err, model));
    CHECK(!std::filesystem::exists(out));
  }

  TEST_CASE("samples without a value are run at once, however many there are") {
    const TempDir dir;
    nn::save_model(nn::Embedding(10, 4), dir / "m.safetensors");
    spill(dir / "x.npy", npy_of("<i8", "(1000000000000, 0)"));
    const Said said = run({"run", dir / "m.safetensors", dir / "x.npy", "-o", dir / "y.npy"});
    CAPTURE(said.err);
    CHECK(said.code == 0);
    CHECK(read_npy(dir / "y.npy").shape() == Shape{1'000'000'000'000, 0, 4});
    spill(dir / "none.npy", npy_of("<i8", "(0, 3)"));
    CHECK(run({"run", dir / "m.safetensors", dir / "none.npy", "-o", dir / "none-y.npy"}).code == 0);
    CHECK(read_npy(dir / "none-y.npy").shape() == Shape{0, 3, 4});
  }

  TEST_CASE("samples without a value of which a model makes gigabytes: exit code 4, before they are there") {
    const TempDir dir;
    nn::save_model(nn::EmbeddingBag(10, 4), dir / "bag.safetensors");
    nn::save_model(nn::Linear(0, 4, false), dir / "linear.safetensors");
    nn::save_model(nn::LSTM(nn::LstmSettings{.input_size = 3, .hidden_size = 5, .batch_first = true}),
                   dir / "lstm.safetensors");
    nn::save_model(nn::LSTM(nn::LstmSettings{.input_size = 3, .hidden_size = 5}), dir / "times.safetensors");
    Conditions little;
    if (!sanitized()) little.address_bytes = rlim_t{1} << 30;
    const std::string x = (dir / "x.npy").string(), y = (dir / "y.npy").string();
    const auto run_on = [&](const char* model, const char* type, const char* shape, const Words& more = {}) {
      spill(x, npy_of(type, shape));
      Words words{"run", dir / (std::string(model) + ".safetensors"), x, "-o", y, "--force"};
      words.insert(words.end(), more.begin(), more.end());
      std::filesystem::remove(y);
      return run(words, little);
    };
    struct Row {
      const char *model, *type, *shape;
    };
    for (const Row& row : {Row{"bag", "<i8", "(1000000000, 0)"}, Row{"linear", "<f4", "(1000000000, 0)"},
                           Row{"linear", "<f4", "(1, 10000000000, 0)"}, Row{"lstm", "<f4", "(0, 2000000000, 3)"},
                           Row{"times", "<f4", "(0, 2000000000, 3)"}}) {
      CAPTURE(row.model);
      CAPTURE(row.shape);
      const Said said = run_on(row.model, row.type, row.shape);
      CAPTURE(said.err);
      CHECK(said.code == 4);
      CHECK(holds(said.err, "Limits::extra_bytes"));
      CHECK(holds(said.err, x));
      CHECK(!std::filesystem::exists(y));
    }
    SUBCASE("states of an LSTM without a step are made for some samples at a time") {
      CHECK(run_on("lstm", "<f4", "(1000000000, 0, 3)").code == 0);
      CHECK(read_npy(y).shape() == Shape{1'000'000'000, 0, 5});
    }
    SUBCASE("the limit holds for the outputs to the byte, and --batch changes nothing") {
      const std::string size = std::to_string(npy_of("<i8", "(1000000, 0)").size());
      for (const char* batch : {"1", "1000", "9223372036854775807"}) {
        CAPTURE(batch);
        const Words just{"--batch", batch, "--limit-extra-bytes", std::to_string(16'000'000 - std::stoi(size))};
        CHECK(run_on("bag", "<i8", "(1000000, 0)", just).code == 0);
        CHECK(read_npy(y) == zeros({1'000'000, 4}));
        const Words less{"--batch", batch, "--limit-extra-bytes", std::to_string(15'999'999 - std::stoi(size))};
        const Said said = run_on("bag", "<i8", "(1000000, 0)", less);
        CHECK(said.code == 4);
        CHECK(holds(said.err, "the outputs of 1000000 samples"));
        CHECK(holds(said.err, "16000000"));
      }
    }
    SUBCASE("there is nothing to learn from them, or to count") {
      spill(x, npy_of("<f4", "(3, 0)"));
      write_npy(dir / "classes.npy", zeros({3}, Dtype::i64));
      const Said said = run({"eval", dir / "linear.safetensors", "--data", x + "," + (dir / "classes.npy").string()});
      CHECK(said.code == 3);
      CHECK(holds(said.err, "must hold values; got (3, 0)"));
    }
  }

  TEST_CASE("outputs of sound samples are bounded too, and classes that are widened") {
    const TempDir dir;
    const std::string x = (dir / "x.npy").string(), y = (dir / "y.npy").string();
    write_npy(x, zeros({1000, 64}));
    const Said outputs = run({"run", models().mlp, x, "-o", (dir / "out.npy").string(), "--limit-extra-bytes", "0"});
    CHECK(outputs.code == 0);  // fewer than the samples: 40,000 bytes
    write_npy(y, zeros({1000}, Dtype::u8));
    const std::size_t size = std::filesystem::file_size(y);
    const auto eval = [&](std::size_t extra) {
      return run({"eval", models().mlp, "--data", x + "," + y, "--limit-extra-bytes", std::to_string(extra)});
    };
    CHECK(eval(8000 - size).code == 0);
    const Said said = eval(7999 - size);
    CAPTURE(said.err);
    CHECK(said.code == 4);
    CHECK(holds(said.err, "classes as int64"));
    CHECK(holds(said.err, y));
    write_npy(y, zeros({1000}, Dtype::i64));
    CHECK(eval(0).code == 0);
  }

  TEST_CASE("memory that inspect has not: the message names the file") {
    if (sanitized()) return;  // its shadow memory would count
    const TempDir dir;
    // 8 MB, of which the weight and its mask are 256 MB each.
    const std::string model = model_of(
        R"({"type":"Linear","args":{"in_features":8192,"out_features":8192,"bias":false},"masked":{"weight":[]},)"
        R"("parameters":["weight_orig"]})",
        {{"weight_orig", full({0}, 0)}, {"weight_mask", full({8 << 20}, 0, Dtype::u8)}}, dir);
    CHECK(run({"inspect", model}).code == 0);
    Conditions little;
    little.address_bytes = rlim_t{450} << 20;
    const Said said = run({"inspect", model, "--threads", "1"}, little);
    CAPTURE(said.err);
    CHECK(said.code == 4);
    CHECK(holds(said.err, model));
  }

  TEST_CASE("H97: names of modules reach the terminal with their control characters made visible") {
    const TempDir dir;
    const std::string name = "a\\u001b[31m\\u202e\\u061c\\ufeff";
    const std::string model = model_of(
        R"({"type":"Sequential","modules":[{"type":"Linear","args":{"in_features":2,"out_features":2},"name":")" +
            name + R"("}]})",
        {{"a\x1b[31m\u202e\u061c\ufeff.weight", ones({2, 2})}, {"a\x1b[31m\u202e\u061c\ufeff.bias", ones({2})}}, dir);
    const std::string out = (dir / "out.safetensors").string();
    for (const Words& words :
         {Words{"inspect", model}, Words{"verify", model}, Words{"pack", model, "-o", out, "--no-measure"},
          Words{"prune", model, "--amount", "1", "--dry-run"}, Words{"convert", model, "-o", out, "--force"}}) {
      CAPTURE(words[0]);
      const Said said = run(words);
      CAPTURE(said.err);
      CHECK(said.code == 0);
      for (const char* hidden : {"\x1b", "\u202e", "\u061c", "\ufeff"}) {
        CHECK(!holds(said.out, hidden));
        CHECK(!holds(said.err, hidden));
      }
      if (words[0] != "verify" && words[0] != "convert") CHECK(holds(said.out, "a\\x1b[31m"));
    }
  }

  TEST_CASE("a long name makes no table wide") {
    const TempDir dir;
    // Not cut in the middle of a character, and the ends, which tell names apart, are there.
    NamedTensors tensors{
        {std::string(4000, 'n') + ".weight", ones({2})},
        {std::string(29, 'x') + "\u00e4" + std::string(90, 'y') + "\u00e4" + std::string(66, 'z'), ones({1})}};
    for (int i = 0; i < 50; ++i) tensors.add(cat("t", i), ones({1}));
    write_safetensors(dir / "t.safetensors", tensors);
    const Said said = run({"inspect", dir / "t.safetensors"});
    CHECK(said.code == 0);
    CHECK(said.out.size() < 54 * 200);
    CHECK(holds(said.out, "\n" + std::string(30, 'n') + "..." + std::string(60, 'n') + ".weight "));
    CHECK(holds(said.out, "\n" + std::string(29, 'x') + "..." + std::string(66, 'z') + " "));
    CHECK(json_of({"inspect", dir / "t.safetensors"}).at("tensors")[0].at("name").get<std::string>().size() == 4007);
  }

  TEST_CASE("a shard of the input is no place for an output") {
    const TempDir dir;
    const auto model = std::make_shared<nn::Sequential>();
    model->append(std::make_shared<nn::Linear>(64, 10));
    nn::save_model(*model, dir / "whole.safetensors");
    const NamedTensors whole = read_safetensors(dir / "whole.safetensors");
    NamedTensors one{{"0.weight", whole.at("0.weight")}}, two{{"0.bias", whole.at("0.bias")}};
    one.metadata() = two.metadata() = whole.metadata();
    write_safetensors(dir / "m-1.safetensors", one);
    write_safetensors(dir / "m-2.safetensors", two);
    const std::string index = (dir / "m.safetensors.index.json").string(), shard = (dir / "m-1.safetensors").string();
    spill(index, R"({"weight_map": {"0.weight": "m-1.safetensors", "0.bias": "m-2.safetensors"}})");
    write_npy(dir / "x.npy", ones({2, 64}));
    const std::string before = slurp(shard);
    for (const Words& words : {Words{"finetune", index, "-o", shard, "--data", "digits", "--epochs", "1", "--force"},
                               Words{"finetune", index, "-o", dir / "o.safetensors", "--data", "digits", "--epochs",
                                     "1", "--checkpoint", shard},
                               Words{"pack", index, "-o", shard, "--no-measure", "--force"},
                               Words{"run", index, dir / "x.npy", "-o", shard, "--force"},
                               Words{"prune", index, "-o", shard, "--amount", "1", "--force"},
                               Words{"convert", index, "-o", shard, "--force"}}) {
      CAPTURE(words[0]);
      const Said said = run(words);
      CAPTURE(said.err);
      CHECK(said.code == 2);
      CHECK(holds(said.err, "inputs are never overwritten"));
      CHECK(slurp(shard) == before);
    }
    CHECK(run({"run", index, dir / "x.npy", "-o", dir / "y.npy"}).code == 0);
  }

  TEST_CASE("limits are whole numbers") {
    for (const char* text : {"-1", "1.5", "1e3", "0x10", "", " 1", "99999999999999999999"}) {
      CAPTURE(text);
      const Said said = run({"inspect", models().mlp, "--limit-tensors", text});
      CHECK(said.code == 2);
      CHECK(holds(said.err, "--limit-tensors"));
    }
  }

  TEST_CASE("nesting is bounded whatever the option says") {
    const TempDir dir;
    const int depth = 200'000;
    spill(dir / "t.pt", pickle::pt(pickle::kGood + std::string(depth, '\x85')));
    const Said said = run({"inspect", dir / "t.pt", "--limit-nesting", "1000", "--limit-name-bytes", "100000000"});
    CAPTURE(said.err);
    CHECK(said.code == 4);
    CHECK(holds(said.err, "nesting"));
    CHECK(run({"inspect", dir / "t.pt", "--limit-nesting", "1001"}).code == 2);
    // The library's caller may ask for more than the stack holds.
    CHECK_THROWS_WITH_AS((void)read_torch(dir / "t.pt", {.limits = {.name_bytes = 1u << 30, .nesting = 1u << 30}}),
                         doctest::Contains("must be at most 1000, whatever Limits::nesting says"), LimitError);
  }

  TEST_CASE("a refusal by a layer names the files that were read") {
    const TempDir dir;
    std::filesystem::copy_file(models().mlp, dir / "i");  // a name that every message holds somewhere
    write_npy(dir / "e", ones({2, 5}));
    const Said in_place = run({"run", (dir / "i").string(), (dir / "e").string(), "-o", dir / "y.npy"});
    CHECK(holds(in_place.err, cat("(with '", (dir / "i").string(), "', '", (dir / "e").string(), "')")));
    write_npy(dir / "x.npy", ones({2, 5}));
    const Said said = run({"run", models().mlp, dir / "x.npy", "-o", dir / "y.npy"});
    CHECK(said.code == 3);
    CHECK(holds(said.err, models().mlp));
    CHECK(holds(said.err, (dir / "x.npy").string()));
    CHECK(!std::filesystem::exists(dir / "y.npy"));
  }

  TEST_CASE("checksums: a flipped bit of a model is found by every command, unless they are not wanted") {
    const TempDir dir;
    std::string bytes = slurp(models().mlp);
    bytes[bytes.size() - 100] ^= 1;
    const std::string bad = (dir / "bad.safetensors").string();
    spill(bad, bytes);
    for (const Words& words : {Words{"inspect", bad}, Words{"verify", bad}, Words{"eval", bad, "--data", "digits"},
                               Words{"pack", bad, "-o", dir / "o.safetensors", "--no-measure"}}) {
      CAPTURE(words[0]);
      Words with = words;
      const Said said = run(with);
      CHECK(said.code == 3);
      CHECK(holds(said.err, "is damaged"));
      CHECK(holds(said.err, "bad.safetensors', byte "));
      with.emplace_back("--no-checksums");
      CHECK(run(with).code == (words[0] == "verify" ? 2 : 0));
    }
  }
}
