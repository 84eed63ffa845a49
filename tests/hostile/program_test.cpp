/// Every hostile file against the program: exit code 3, 4 or 5 as the category says, one message, nothing on stdout.

#include <sys/stat.h>

#include "hostile/child.h"
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
      const bool stands_in = what == "a type that does not exist";  // its tensors are read, and it is named
      const int expected = stands_in ? 0 : exit_code(file.input.category);
      CHECK(said.code == expected);
      if (expected == 0) {
        CHECK(holds(said.err, file.input.fragment));
      } else {
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

  TEST_CASE("a few bytes that describe billions of empty rows, or inputs of gigabytes, cost little") {
    const TempDir dir;
    const auto model = [](const std::string& tree, const std::string& shape, const std::string& data) {
      const Json about = {{"coppice.model", R"({"format":1,"producer":"x","model":)" + tree + "}"}};
      return st(cat(R"({"__metadata__":)", about.dump(), R"(,"weight":{"dtype":"F32","shape":)", shape,
                    R"(,"data_offsets":[0,)", data.size(), "]}}"),
                data);
    };
    const auto linear = [&](const char* in, const char* out) {
      return model(
          cat(R"({"type":"Linear","args":{"in_features":)", in, R"(,"out_features":)", out, R"(,"bias":false}})"),
          cat("[", out, ",", in, "]"), "");
    };
    const auto conv = [&](int channels, const char* kernel, const char* shape, const char* rest = "") {
      return model(cat(R"({"type":"Conv2d","args":{"in_channels":)", channels, R"(,"out_channels":1,"kernel_size":)",
                       kernel, rest, R"(,"bias":false}})"),
                   shape, std::string(4'000'000, '\0'));
    };
    const std::string path = (dir / "in.safetensors").string(), out = (dir / "out.safetensors").string();
    Conditions little;
    if (!sanitized()) little.address_bytes = rlim_t{1} << 30;
    const Words pack{"pack", path, "-o", out, "--force"}, by_bytes{"pack", path, "-o", out, "--force", "--no-measure"};
    const auto prune = [&](const char* method) {
      return Words{"prune", path, "--method", method, "--amount", "0.5", "--dim", "0", "--dry-run"};
    };
    struct Case {
      std::string what;
      std::string file;
      std::vector<Words> commands;
      int code = 0;
    };
    const std::vector<Case> cases{
        {"empty rows",
         linear("0", "3000000000"),
         {pack, by_bytes, prune("ln_structured"), prune("random_structured"), {"inspect", path}}},
        {"empty columns", linear("15000000000", "0"), {pack, by_bytes, prune("ln_structured")}},
        {"a million channels", conv(1'000'000, "1", "[1,1000000,1,1]"), {pack, by_bytes}},
        {"a kernel that is a line", conv(1, "[1,1000000]", "[1,1,1,1000000]"), {pack, by_bytes}, 3},  // no format
        {"windows far apart", conv(250'000, "2", "[1,250000,2,2]", R"(,"dilation":2147483647)"), {pack, by_bytes}},
        {"a frame of zeros", conv(1'000'000, "1", "[1,1000000,1,1]", R"(,"padding":2147483647)"), {pack, by_bytes}}};
    for (const Case& c : cases) {
      CAPTURE(c.what);
      spill(path, c.file);
      for (const Words& command : c.commands) {
        CAPTURE(cat(command[0], " ", command.back()));
        const Said said = run(command, little);
        CAPTURE(said.err);
        CHECK(said.code == c.code);
        if (command[0] == "pack" && c.code == 0) CHECK(run({"verify", out}, little).code == 0);
      }
    }
  }

  TEST_CASE("a list of 200,000 tensors takes memory for each name a few times, not dozens of times") {
    if (sanitized()) return;  // its shadow memory would count
    const TempDir dir;
    const std::string path = (dir / "t.safetensors").string();
    constexpr int kCount = 200'000;
    std::string header = "{";
    for (int i = 0; i < kCount; ++i)
      header += cat(i == 0 ? "" : ",", "\"", i, R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})");
    spill(path, st(header + "}"));
    Conditions little;
    little.address_bytes = rlim_t{600} << 20;
    for (const bool json : {false, true}) {
      CAPTURE(json);
      const Said said = run(json ? Words{"inspect", path, "--json"} : Words{"inspect", path}, little);
      CAPTURE(said.err);
      CHECK(said.code == 0);
      CHECK(holds(said.out, json ? "\"name\": \"199999\"" : "\n199999 "));
    }
  }

  TEST_CASE("a header whose length reads as the beginning of a text makes no text of a file") {
    const TempDir dir;
    const std::string path = (dir / "t.safetensors").string();
    constexpr std::size_t kBytes = std::size_t{17} << 20, kLength = 0x7B20;  // " {"
    std::string header = cat(R"({"a":{"dtype":"U8","shape":[)", kBytes, R"(],"data_offsets":[0,)", kBytes, "]}}");
    header.resize(kLength, ' ');
    spill(path, st(header, std::string(kBytes, '\1')));
    const Said said = run({"verify", path});
    CAPTURE(said.err);
    CHECK(said.code == 0);
    CHECK(run({"inspect", path}).code == 0);
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
    for (const Words& setting :
         {Words{"--ramp", "0"}, Words{"--ramp", "1.0000001"}, Words{"--ramp", "nan"}, Words{"--epochs", "0"},
          Words{"--epochs", "-1"}, Words{"--epochs", "9223372036854775807"}, Words{"--batch", "0"}}) {
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
    for (const std::string& path :
         {dir.path().string(), (dir / "pipe.pt").string(), std::string("/dev/zero"), (dir / "absent.pt").string()}) {
      CAPTURE(path);
      const Said said = run({"verify", path});
      CHECK(said.code == 5);
      CHECK(holds(said.err, path));
    }
  }
}
