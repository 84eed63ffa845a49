// finetune --checkpoint: killed at any moment, it goes on and ends with the same bytes.
#include <signal.h>

#include <chrono>
#include <random>
#include <thread>

#include "program.h"

using namespace coppice::test;

namespace {

const std::filesystem::path kMlp = std::filesystem::path(COPPICE_TESTS_DIR) / "data";

/// A model file of the MLP that PyTorch trained.
void import_mlp(const TempDir& dir) {
  REQUIRE(run({"import", kMlp / "mlp_digits.pt", "--arch", kMlp / "mlp_digits.arch.json", "-o", dir / "m.safetensors"})
              .code == 0);
}

Words finetune(const TempDir& dir, const std::string& output, const Words& more = {}) {
  Words words{"finetune", dir / "m.safetensors", "-o",  dir / output, "--data", "digits", "--epochs",
              "12",       "--sparsity",          "0.8", "--patience", "0",      "--seed", "3"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_SUITE("sparsity/program_resume") {
  TEST_CASE("a run killed at random moments ends with the bytes of one that was not") {
    const TempDir dir;
    import_mlp(dir);
    const auto start = std::chrono::steady_clock::now();
    REQUIRE(run(finetune(dir, "whole.safetensors")).code == 0);
    const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - start;
    std::mt19937 random(20);
    const Words checkpoint{"--checkpoint", dir / "run.safetensors"};
    int kills = 0, runs = 0;
    Said said;
    do {
      REQUIRE(++runs < 200);
      // A run that was killed between its output and its end has left one, which the next would not write over.
      std::filesystem::remove(dir / "again.safetensors");
      Child child(finetune(dir, "again.safetensors", checkpoint));
      // Most of them early enough that several runs are needed.
      std::this_thread::sleep_for(whole * (random() % 1000 / 1000.0) * 0.6);
      if (kills < 8) {
        ::kill(child.pid(), SIGKILL);
        ++kills;
      }
      said = child.wait();
      REQUIRE((said.code == 0 || said.code == 1000 + SIGKILL));
    } while (said.code != 0);
    CHECK(kills >= 1);
    CHECK(slurp(dir / "again.safetensors") == slurp(dir / "whole.safetensors"));
    CHECK(said.err.find("going on from") != std::string::npos);
  }

  TEST_CASE("Ctrl-C ends a run with exit code 130, no output, and a checkpoint that goes on") {
    const TempDir dir;
    import_mlp(dir);
    const Words checkpoint{"--checkpoint", dir / "run.safetensors"};
    Child child(finetune(dir, "out.safetensors", checkpoint));
    const auto begun = std::chrono::steady_clock::now();
    while (!std::filesystem::exists(dir / "run.safetensors")) {
      REQUIRE_MESSAGE(std::chrono::steady_clock::now() - begun < std::chrono::minutes(5), "no checkpoint was written");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ::kill(child.pid(), SIGINT);
    const Said said = child.wait();
    CHECK(said.code == 130);
    CHECK_FALSE(std::filesystem::exists(dir / "out.safetensors"));
    CHECK(dir.size() == 2);  // the model and the checkpoint
    CHECK(run(finetune(dir, "out.safetensors", checkpoint)).code == 0);
    CHECK(run(finetune(dir, "straight.safetensors")).code == 0);
    CHECK(slurp(dir / "out.safetensors") == slurp(dir / "straight.safetensors"));
  }

  TEST_CASE("checkpoints that do not fit end with exit code 3 and no output, bad paths with 2") {
    const TempDir dir;
    import_mlp(dir);
    const Words checkpoint{"--checkpoint", dir / "run.safetensors"};
    REQUIRE(run(finetune(dir, "a.safetensors", checkpoint)).code == 0);
    Words other = checkpoint;
    other.insert(other.end(), {"--lr", "0.5"});
    const Said said = run(finetune(dir, "b.safetensors", other));
    CHECK(said.code == 3);
    CHECK(said.err.find("belongs to another run: lr was 0.001 and is 0.5") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(dir / "b.safetensors"));
    spill(dir / "run.safetensors", slurp(dir / "run.safetensors").substr(0, 1000));
    CHECK(run(finetune(dir, "b.safetensors", checkpoint)).code == 3);
    CHECK(run(finetune(dir, "b.safetensors", {"--checkpoint", dir / "m.safetensors"})).code == 2);
    CHECK(run(finetune(dir, "b.safetensors", {"--checkpoint", dir / "b.safetensors"})).code == 2);
    CHECK(run(finetune(dir, "b.safetensors", {"--checkpoint", dir / "no" / "where.safetensors"})).code == 5);
    CHECK_FALSE(std::filesystem::exists(dir / "b.safetensors"));
  }
}
