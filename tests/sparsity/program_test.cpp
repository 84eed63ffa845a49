/// What every command of the program has in common: help, usage, bad files, outputs, JSON.

#include "program.h"
#include "coppice/engine/create.h"
#include "coppice/engine/io/npy.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const Words kCommands{"inspect", "import", "prune", "finetune", "pack",   "unpack",
                      "run",     "eval",   "bench", "convert",  "verify", "demo"};

/// A good call of every command that reads a file, with `file` as what it reads and `output` as what it writes.
/// Model commands get `file` as the model, `run` reads zeros.
struct Call {
  std::string command;
  Words words;
  bool writes;
  std::string output = {};
};
/// An output is an array for `run` and `convert`, safetensors for the others.
std::vector<Call> calls(const std::string& file, const std::string& array, const TempDir& dir) {
  const std::string output =
      array.empty() ? array : std::filesystem::path(array).replace_extension(".safetensors").string();
  const std::string x = (dir / "x.npy").string();
  write_npy(x, zeros({2, 64}));
  const std::string arch = (kData / "mlp_digits.arch.json").string();
  return {{"inspect", {"inspect", file}, false},
          {"convert", {"convert", file, "-o", array}, true, array},
          {"import", {"import", file, "--arch", arch, "-o", output}, true, output},
          {"prune", {"prune", file, "-o", output, "--amount", "0.5"}, true, output},
          {"finetune", {"finetune", file, "-o", output, "--data", "digits", "--epochs", "1"}, true, output},
          {"pack", {"pack", file, "-o", output, "--no-measure"}, true, output},
          {"run", {"run", file, x, "-o", array}, true, array},
          {"eval", {"eval", file, "--data", "digits"}, false},
          {"bench", {"bench", file, "--rounds", "1"}, false},
          {"verify", {"verify", file}, false}};
}

/// The file that `call` accepts: a state dict for import, one array for convert, a model for the others.
std::string good_input(const std::string& command) {
  if (command == "convert") return (kData / "mlp_digits_logits.npy").string();
  return command == "import" ? (kData / "mlp_digits.pt").string() : models().mlp;
}

/// Every command refuses `file` with `code`, names it, and leaves nothing behind.
void check_all_refuse(const std::string& file, int code) {
  const TempDir dir;
  for (const Call& call : calls(file, (dir / "out.npy").string(), dir)) {
    CAPTURE(call.command);
    const Said said = run(call.words);
    CAPTURE(said.err);
    CHECK(said.code == code);
    CHECK(said.out.empty());
    CHECK(said.err.starts_with("coppice: "));
    CHECK(holds(said.err, std::filesystem::path(file).filename().string()));
    CHECK(dir.size() == 1);  // x.npy
  }
}

}  // namespace

TEST_SUITE("sparsity/cli") {
  TEST_CASE("help opens with two examples of the command") {
    for (const std::string& command : kCommands) {
      CAPTURE(command);
      const Said said = run({command, "--help"});
      CHECK(said.code == 0);
      CHECK(said.err.empty());
      const std::string example = "\n  coppice " + command;
      REQUIRE(said.out.starts_with("Examples:" + example));
      CHECK(said.out.find(example, 10) < said.out.find("\n\n"));  // the second one, above the description
    }
  }

  TEST_CASE("the program itself: its help names every command, its version is a number") {
    const Said help = run({"--help"});
    CHECK(help.code == 0);
    for (const std::string& command : kCommands) CHECK(holds(help.out, "\n  " + command));
    const Said version = run({"--version"});
    CHECK(version.code == 0);
    CHECK(version.out.starts_with("coppice 0."));
  }

  TEST_CASE("wrong usage: exit code 2, the word that was wrong on stderr, nothing on stdout") {
    for (const std::string& command : kCommands) {
      CAPTURE(command);
      const Said said = run({command, "--no-such-option"});
      CHECK(said.code == 2);
      CHECK(said.out.empty());
      CHECK(holds(said.err, "--help"));
      if (command != "demo") CHECK(run({command}).code == 2);  // the file is missing
      CHECK(run({command, "--threads", "0"}).code == 2);
    }
    CHECK(holds(run({"inspect", "x.pt", "--no-such-option"}).err, "--no-such-option"));
    CHECK(run({}).code == 2);
    CHECK(run({"compress", "x.pt"}).code == 2);
    CHECK(run({"finetune", "m", "-o", "o", "--data", "digits", "--sparsity", "1.5"}).code == 2);
    CHECK(run({"finetune", "m", "-o", "o", "--data", "digits", "--epochs", "0"}).code == 2);
    CHECK(run({"run", "m", "x.npy", "-o", "y.npy", "--batch", "0"}).code == 2);
    CHECK(run({"eval", models().mlp, "--data", "cifar"}).code == 2);
    CHECK(run({"prune", models().mlp, "--amount", "0.5"}).code == 2);  // neither --output nor --dry-run
  }

  TEST_CASE("a file that is not there, or a directory: exit code 5") {
    const TempDir dir;
    check_all_refuse((dir / "missing.safetensors").string(), 5);
    std::filesystem::create_directory(dir / "folder");
    check_all_refuse((dir / "folder").string(), 5);
  }

  TEST_CASE("a truncated file, or one of no known format: exit code 3") {
    const TempDir dir;
    const std::string pt = slurp(kData / "mlp_digits.pt"), model = slurp(models().mlp);
    spill(dir / "cut.pt", pt.substr(0, pt.size() / 2));
    check_all_refuse((dir / "cut.pt").string(), 3);
    spill(dir / "cut.safetensors", model.substr(0, model.size() - 1));
    check_all_refuse((dir / "cut.safetensors").string(), 3);
    spill(dir / "header.safetensors", model.substr(0, 100));
    check_all_refuse((dir / "header.safetensors").string(), 3);
    spill(dir / "empty.pt", "");
    check_all_refuse((dir / "empty.pt").string(), 3);
    spill(dir / "notes.txt", "some words that are no tensors\n");
    check_all_refuse((dir / "notes.txt").string(), 3);
  }

  TEST_CASE("a checkpoint where a model is needed: exit code 3, and the command that makes a model") {
    const TempDir dir;
    for (const Call& call : calls((kData / "mlp_digits.pt").string(), (dir / "out.npy").string(), dir)) {
      if (call.command == "inspect" || call.command == "import" || call.command == "prune" || call.command == "pack" ||
          call.command == "verify" || call.command == "convert")
        continue;
      CAPTURE(call.command);
      const Said said = run(call.words);
      CHECK(said.code == 3);
      CHECK(holds(said.err, "coppice import"));
    }
  }

  TEST_CASE("an existing output stays unless --force is given: exit code 2") {
    const TempDir dir;
    for (const Call& good : calls("", (dir / "out.npy").string(), dir)) {
      if (!good.writes) continue;
      const std::string out = good.output;
      CAPTURE(good.command);
      Words words = good.words;
      words[1] = good_input(good.command);
      spill(out, "mine");
      const Said said = run(words);
      CHECK(said.code == 2);
      CHECK(holds(said.err, "--force"));
      CHECK(slurp(out) == "mine");
      words.emplace_back("--force");
      const Said forced = run(words);
      CAPTURE(forced.err);
      CHECK(forced.code == 0);
      CHECK(slurp(out) != "mine");
    }
  }

  TEST_CASE("an input is never overwritten, under whatever name: exit code 2") {
    const TempDir dir;
    for (const Call& good : calls("", "", dir)) {
      if (!good.writes) continue;
      CAPTURE(good.command);
      const std::string input = (dir / "input.safetensors").string();
      std::filesystem::copy_file(good_input(good.command), input);
      std::filesystem::create_symlink(input, dir / "link");
      const std::string before = slurp(input);
      for (const std::string& output : {input, (dir / "." / "input.safetensors").string(), (dir / "link").string()}) {
        CAPTURE(output);
        Words words = good.words;
        words[1] = input;
        for (std::string& word : words)
          if (word.empty()) word = output;
        words.emplace_back("--force");
        const Said said = run(words);
        CHECK(said.code == 2);
        CHECK(holds(said.err, "is the input"));
        CHECK(slurp(input) == before);
      }
      std::filesystem::remove(dir / "link");
      std::filesystem::remove(input);
    }
  }

  TEST_CASE("the other inputs are not overwritten either") {
    const TempDir dir;
    const std::string x = (dir / "x.npy").string(), y = (dir / "y.npy").string(), arch = (dir / "arch.json").string();
    write_npy(x, zeros({20, 64}));
    write_npy(y, zeros({20}, Dtype::i64));
    std::filesystem::copy_file(kData / "mlp_digits.arch.json", arch);
    const std::string mlp = models().mlp, pt = (kData / "mlp_digits.pt").string();
    CHECK(run({"run", mlp, x, "-o", x, "--force"}).code == 2);
    CHECK(run({"import", pt, "--arch", arch, "-o", arch, "--force"}).code == 2);
    CHECK(run({"pack", mlp, "--input", x, "-o", x, "--force"}).code == 2);
    CHECK(run({"finetune", mlp, "--data", x + "," + y, "-o", x, "--force", "--epochs", "1"}).code == 2);
    CHECK(run({"finetune", mlp, "--data", x + "," + y, "-o", y, "--force", "--epochs", "1"}).code == 2);
    CHECK(read_npy(x).shape() == Shape{20, 64});
    CHECK(read_npy(y).shape() == Shape{20});
  }

  TEST_CASE("an output whose folder does not exist: exit code 5") {
    const TempDir dir;
    for (const Call& good : calls("", (dir / "no" / "out.npy").string(), dir)) {
      if (!good.writes) continue;
      CAPTURE(good.command);
      Words words = good.words;
      words[1] = good_input(good.command);
      CHECK(run(words).code == 5);
    }
  }

  TEST_CASE("with --json stdout is one document that names its schema, and stderr is free of results") {
    const TempDir dir;
    for (const Call& good : calls("", (dir / "out.npy").string(), dir)) {
      CAPTURE(good.command);
      Words words = good.words;
      words[1] = good_input(good.command);
      if (good.writes) words.emplace_back("--force");
      CHECK(json_of(words).at("schema") == "coppice." + good.command + "/1");
    }
  }

  TEST_CASE("--quiet keeps notes from stderr") {
    const TempDir dir;
    const std::string npz = (dir / "t.npy").string();
    write_npy(npz, full({4, 4}, std::numeric_limits<double>::quiet_NaN()));
    const Words words{"prune", npz, "--include", "*", "--amount", "0.5", "--dry-run"};
    CHECK(holds(run(words).err, "NaN"));
    Words quiet = words;
    quiet.emplace_back("--quiet");
    CHECK(run(quiet).err.empty());
  }
}
