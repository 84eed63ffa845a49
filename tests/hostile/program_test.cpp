/// Every hostile file against the program: exit code 3, 4 or 5 as the category says, one message, nothing on stdout.

#include <sys/stat.h>

#include "hostile/corpus.h"
#include "hostile/small_run.h"
#include "sparsity/program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

int exit_code(const std::string& category) {
  return category == "accepted" ? 0 : category == "LimitError" ? 4 : category == "IoError" ? 5 : 3;
}

/// The command that reads the file: `verify`, unless another one has the reader.
Words command_for(const HostileFile& file, const std::filesystem::path& path, const TempDir& work) {
  if (file.extension == ".json")
    return {"import", (kData / "mlp_digits.pt").string(), "--arch", path.string(),
            "-o",     (work / "out.safetensors").string()};
  if (file.extension == ".checkpoint") return small_run_command(work.path(), path);
  return {"verify", path.string()};
}

}  // namespace

TEST_SUITE("hostile/program") {
  TEST_CASE("the program refuses each file with the exit code of its category") {
    const TempDir dir, work;
    std::size_t place = 0;
    for (const HostileFile& file : hostile_corpus()) {
      const auto& what = file.input.what;
      CAPTURE(what);
      const auto path = write_hostile(file, dir.path(), place);
      const Said said = run(command_for(file, path, work));
      CAPTURE(said.err);
      const int expected = exit_code(file.input.category);
      CHECK(said.code == expected);
      if (expected != 0) {
        CHECK(said.out.empty());
        // A sanitizer may have its say about the size first.
        CHECK(("\n" + said.err).find("\ncoppice: ") != std::string::npos);
        CHECK(said.err.find("\u202e") == std::string::npos);
        // Names from files reach the terminal with their control characters made visible.
        CHECK(said.err.find_first_of(std::string("\x1b\0\x07\r", 4)) == std::string::npos);
      }
      std::filesystem::remove_all(dir / file.entry_name(place++));
    }
  }

  TEST_CASE("H97: names with control and bidi characters are shown with them made visible") {
    const TempDir dir;
    const std::string path = (dir / "t.safetensors").string();
    spill(path, st("{\"a\\u001b[2J\u202e\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", "x"));
    const Said said = run({"inspect", path});
    CHECK(said.code == 0);
    CHECK(holds(said.out, "a\\x1b[2J\\xe2\\x80\\xae"));
    CHECK(!holds(said.out, "\x1b"));
    CHECK(!holds(said.out, "\u202e"));
    CHECK(json_of({"inspect", path})["tensors"][0]["name"] == "a\x1b[2J\u202e");  // in JSON it is data
    const Said json = run({"inspect", path, "--json"});
    CHECK(!holds(json.out, "\x1b"));
  }

  TEST_CASE("H91, H94: amounts and schedules out of range are wrong usage") {
    const std::string mlp = (kData / "mlp_digits.pt").string();
    const std::string thirty_digits = "1" + std::string(30, '0');
    for (const std::string& amount : {std::string("nan"), std::string("-nan"), std::string("-0.1"),
                                      std::string("1.0000001"), std::string("1e30"), thirty_digits}) {
      CAPTURE(amount);
      const Said said = run({"prune", mlp, "--amount", amount, "--dry-run"});
      CHECK(said.code == 2);
      CHECK(holds(said.err, "--amount: [Amount] a fraction must be in 0..1; got "));
    }
    for (const Words& setting : {Words{"--ramp", "0"}, Words{"--ramp", "1.0000001"}, Words{"--ramp", "nan"},
                                 Words{"--epochs", "0"}, Words{"--epochs", "-1"}, Words{"--batch", "0"}}) {
      CAPTURE(setting[0]);
      CAPTURE(setting[1]);
      const TempDir dir;
      const Said said = run({"finetune", models().mlp, "-o", (dir / "out.safetensors").string(), "--data", "digits",
                             "--sparsity", "0.5", setting[0], setting[1]});
      CHECK(said.code == 2);
      CHECK(holds(said.err, setting[0]));
      CHECK(dir.size() == 0);
    }
  }

  TEST_CASE("H92: a glob that would explode if it were tried in every way ends at once") {
    const TempDir dir;
    const std::string path = (dir / "t.safetensors").string();
    const std::string name(4000, 'a');
    spill(path, st("{\"" + name + R"(":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}})", "1234"));
    std::string glob;
    for (int i = 0; i < 1000; ++i) glob += "*a";
    CHECK(run({"prune", path, "--amount", "1", "--dry-run", "--include", glob + "*"}).code == 0);
    const Said said = run({"prune", path, "--amount", "1", "--dry-run", "--include", glob + "*b"});
    CHECK(said.code == 3);  // nothing matches
  }

  TEST_CASE("H93: a pattern that matches nothing is told before any training") {
    const TempDir dir;
    const Said said = run({"finetune", models().mlp, "-o", (dir / "out.safetensors").string(), "--data", "digits",
                           "--include", "\x1b[2Jconv*"});
    CHECK(said.code == 3);
    CHECK(holds(said.err, "\\x1b[2Jconv*"));
    CHECK(dir.size() == 0);
  }

  TEST_CASE("H96: where nothing may be written, whoever one is: exit code 5 with path and reason") {
    const Said said = run({"convert", (kData / "mlp_digits.pt").string(), "-o", "/proc/out.npz"});
    CHECK(said.code == 5);
    CHECK(holds(said.err, "'/proc/out.npz': cannot "));
  }

  TEST_CASE("what is no file is an input/output error") {
    const TempDir dir;
    REQUIRE(::mkfifo((dir / "pipe.pt").c_str(), 0600) == 0);
    for (const std::string& path : {dir.path().string(), (dir / "pipe.pt").string(), std::string("/dev/zero"),
                                    (dir / "absent.pt").string()}) {
      CAPTURE(path);
      const Said said = run({"verify", path});
      CHECK(said.code == 5);
      CHECK(holds(said.err, path));
    }
  }
}
