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
    return {"import", (kData / "mlp_digits.pt").string(), "--arch", path.string(), "-o",
            (work / "out.safetensors").string()};
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
