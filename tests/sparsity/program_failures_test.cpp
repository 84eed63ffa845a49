/// The world around the program fails: a full disk, a closed pipe.

#include "coppice/engine/create.h"
#include "coppice/engine/io/npy.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

TEST_SUITE("sparsity/cli/failures") {
  TEST_CASE("no room for the output: exit code 5, and no part of a file is left") {
    const TempDir dir;
    const std::string out = (dir / "out.safetensors").string(), x = (dir / "x.npy").string();
    write_npy(x, zeros({1000, 64}));
    const std::string mlp = models().mlp;  // 203 KB
    const std::vector<Words> calls{
        {"import", (kData / "mlp_digits.pt").string(), "--arch", (kData / "mlp_digits.arch.json").string(), "-o", out},
        {"prune", mlp, "-o", out, "--amount", "0.5"},
        {"prune", (kData / "mlp_digits.pt").string(), "-o", out, "--amount", "0.5"},
        {"finetune", mlp, "-o", out, "--data", "digits", "--epochs", "1"},
        {"pack", mlp, "-o", out, "--no-measure"},
        {"run", mlp, x, "-o", (dir / "out.npy").string()}};
    for (const rlim_t room : {rlim_t{0}, rlim_t{20000}})  // 40 KB are the smallest of these outputs
      for (const Words& words : calls) {
        CAPTURE(words[0]);
        CAPTURE(room);
        // With no room at all there is none for the message either.
        const Said said = run(words, {.file_bytes = room});
        CAPTURE(said.err);
        CHECK(said.code == 5);
        if (room > 0) CHECK(holds(said.err, words[0] == "run" ? "out.npy" : "out.safetensors"));
        CHECK(dir.size() == 1);
      }
    SUBCASE("an older output survives") {
      spill(out, "old");
      CHECK(run({"prune", mlp, "-o", out, "--amount", "0.5", "--force"}, {.file_bytes = 20000}).code == 5);
      CHECK(slurp(out) == "old");
      CHECK(dir.size() == 2);
    }
    SUBCASE("the demo stops as well") {
      CHECK(run({"demo", (dir / "demo").string()}, {.file_bytes = 20000}).code == 5);
    }
  }

  TEST_CASE("nobody reads the results, or they do not fit: exit code 5 with a message") {
    const TempDir dir;
    const std::string mlp = models().mlp, out = (dir / "out.safetensors").string();
    for (const auto where : {Conditions::Out::closed_pipe, Conditions::Out::full_device})
      for (const Words& words : {Words{"inspect", mlp}, Words{"inspect", mlp, "--json"}, Words{"verify", mlp},
                                 Words{"eval", mlp, "--data", "digits"}, Words{"bench", mlp, "--rounds", "1"},
                                 Words{"prune", mlp, "--dry-run", "--amount", "0.5"},
                                 Words{"pack", mlp, "-o", out, "--force", "--no-measure"}, Words{"inspect", "--help"},
                                 Words{"--help"}, Words{"--version"}}) {
        CAPTURE(words[0]);
        const Said said = run(words, {.out = where, .file_bytes = {}});
        CAPTURE(said.err);
        CHECK(said.code == 5);
        CHECK(said.err.starts_with("coppice: [stdout]"));
      }
  }
}
