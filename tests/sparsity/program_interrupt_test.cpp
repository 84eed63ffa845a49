/// Ctrl-C: exit code 130 at once, no part of an output, nothing on stdout.

#include <chrono>
#include <fstream>
#include <thread>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "coppice/nn/init.h"
#include "coppice/nn/io/model_file.h"
#include "coppice/nn/layers/linear.h"
#include "hostile/child.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

using Clock = std::chrono::steady_clock;

/// Whether the process has a handler of its own for SIGINT yet, by /proc/PID/status.
bool catches_interrupt(pid_t pid) {
  std::ifstream status(cat("/proc/", static_cast<std::int64_t>(pid), "/status"));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("SigCgt:")) return (std::stoull(line.substr(7), nullptr, 16) >> (SIGINT - 1) & 1) != 0;
  return false;
}

/// Waits until `ready`, a minute at most.
template <class F>
void wait_for(F ready) {
  const auto deadline = Clock::now() + std::chrono::minutes(1);
  while (!ready() && Clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

/// Starts the command, presses Ctrl-C `later` after it began to listen, and waits for its end.
Said interrupted(const Words& words, int signal, std::chrono::milliseconds later) {
  Child child(words);
  wait_for([&] { return catches_interrupt(child.pid()); });
  std::this_thread::sleep_for(later);
  REQUIRE(::kill(child.pid(), signal) == 0);
  return child.wait();
}

/// A safetensors file of one float32 matrix, mostly a hole: many zeros that cost no disk.
void write_hole(const std::filesystem::path& path, std::int64_t rows, std::int64_t cols) {
  const std::int64_t bytes = rows * cols * 4;
  spill(path,
        st(cat(R"({"weight":{"dtype":"F32","shape":[)", rows, ",", cols, R"(],"data_offsets":[0,)", bytes, "]}}")));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) + static_cast<std::uint64_t>(bytes));
}

/// A million images and classes of zeros, mostly holes, as "X.npy,Y.npy".
std::string million_samples(const TempDir& dir) {
  const std::string x = (dir / "x.npy").string(), y = (dir / "y.npy").string();
  write_npy(x, zeros({1, 64}));
  write_npy(y, zeros({1}, Dtype::i64));
  // A million samples: the header says so, the rest is a hole.
  for (const auto& [path, bytes] : {std::pair(x, 256'000'000), std::pair(y, 8'000'000)}) {
    std::string text = slurp(path).substr(0, 128);
    const std::size_t shape = text.find("(1,") + 1;
    const std::size_t end = text.find(')', shape);
    const std::string more = bytes == 8'000'000 ? "1000000," : "1000000, 64";
    text = text.substr(0, shape) + more + text.substr(end);
    const std::size_t line = text.find('\n');
    text.erase(line - (text.size() - 128), text.size() - 128);
    spill(path, text);
    std::filesystem::resize_file(path, 128 + static_cast<std::uint64_t>(bytes));
  }
  REQUIRE(read_npy(x).shape() == Shape{1000000, 64});
  return x + "," + y;
}

void check_interrupted(const Said& said) {
  CAPTURE(said.err);
  CHECK(said.code == 130);
  CHECK(holds(said.err, "interrupted; nothing was written"));
  CHECK(said.out.empty());
}

}  // namespace

TEST_SUITE("sparsity/cli/interrupt") {
  TEST_CASE("commands that only read end within a second of Ctrl-C") {
    const TempDir dir;
    const std::string big = (dir / "big.safetensors").string();
    write_hole(big, 1 << 16, 1 << 16);  // 16 GB
    const std::string samples = million_samples(dir);
    for (const Words& words :
         {Words{"inspect", big}, Words{"verify", big}, Words{"inspect", big, "--json"},
          Words{"eval", models().mlp, "--data", samples}, Words{"bench", models().lenet, "--rounds", "100000"}})
      for (const int delay : {0, 30}) {
        CAPTURE(words[0]);
        const auto start = Clock::now();
        check_interrupted(interrupted(words, SIGINT, std::chrono::milliseconds(delay)));
        CHECK(Clock::now() - start < std::chrono::seconds(20));  // a loaded machine; all of it would take longer
      }
  }

  TEST_CASE("commands that write leave no part of an output: exit code 130") {
    const TempDir dir;
    const std::string big = (dir / "big.safetensors").string(), model = (dir / "model.safetensors").string();
    write_hole(big, 1 << 14, 1 << 12);  // 256 MB
    {
      const nn::SkipInit no_random_numbers;
      nn::Linear layer(4096, 4096);
      layer.tensor("weight").detach().fill_(0.5);
      layer.tensor("bias").detach().fill_(0);
      nn::save_model(layer, model);
    }
    const std::string samples = million_samples(dir);
    const std::size_t before = dir.size();
    const std::string out = (dir / "out.safetensors").string();
    for (const Words& words :
         {Words{"prune", big, "-o", out, "--amount", "0.5"},
          Words{"prune", big, "-o", out, "--amount", "0.5", "--method", "random_unstructured"},
          Words{"prune", model, "-o", out, "--amount", "0.5", "--keep-masks"}, Words{"pack", model, "-o", out},
          Words{"finetune", models().mlp, "-o", out, "--data", samples, "--epochs", "1"}})
      for (const int signal : {SIGINT, SIGTERM}) {
        CAPTURE(words[0]);
        const auto start = Clock::now();
        check_interrupted(interrupted(words, signal, std::chrono::milliseconds(5)));
        CHECK(Clock::now() - start < std::chrono::seconds(20));
        CHECK(dir.size() == before);
      }
  }

  TEST_CASE("Ctrl-C while an output is written waits until it is whole") {
    const TempDir dir;
    const std::string big = (dir / "big.safetensors").string(), out = (dir / "out.pt").string();
    write_hole(big, 1 << 14, 1 << 12);
    Child child({"convert", big, "-o", out});
    wait_for([&] { return dir.size() == 2; });  // the temporary file
    REQUIRE(::kill(child.pid(), SIGINT) == 0);
    const Said said = child.wait();
    CAPTURE(said.err);
    CHECK(dir.size() == 2);
    CHECK(load_tensors(out).at("weight").shape() == Shape{1 << 14, 1 << 12});
    // It may have been done before the signal came.
    if (said.code != 0) {
      CHECK(said.code == 130);
      CHECK(holds(said.err, "out.pt' is written whole"));
      CHECK(said.out.empty());
    }
  }

  TEST_CASE("Ctrl-C in the demo: what was written stays, and the message says so") {
    const TempDir dir;
    const Said said = interrupted({"demo", (dir / "demo").string()}, SIGINT, std::chrono::milliseconds(100));
    CAPTURE(said.err);
    CHECK(said.code == 130);
    CHECK(holds(said.err, "interrupted; the files so far are in "));
    CHECK(said.out.empty());
    for (const auto& entry : std::filesystem::directory_iterator(dir / "demo"))
      CHECK(entry.path().filename().string().find(".coppice-", 1) == std::string::npos);  // a temporary file
  }

  TEST_CASE("Ctrl-C that reaches the demo's other process: exit code 130") {
    if (sanitized()) return;  // the demo takes minutes then, and another test runs it
    const TempDir dir;
    Child demo({"demo", (dir / "demo").string()});
    const std::string list = cat("/proc/", static_cast<std::int64_t>(demo.pid()), "/task/",
                                 static_cast<std::int64_t>(demo.pid()), "/children");
    pid_t other = 0;
    const auto deadline = Clock::now() + std::chrono::minutes(5);  // it trains first
    while (Clock::now() < deadline && !(std::ifstream(list) >> other) &&
           !std::filesystem::exists(dir / "demo" / "report.json"))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const bool met = other != 0 && ::kill(other, SIGINT) == 0;
    const Said said = demo.wait();
    CAPTURE(said.err);
    // It may have been done before the signal came.
    if (met && said.code != 0) {
      CHECK(said.code == 130);
      CHECK(holds(said.err, "interrupted; the files so far are in "));
      CHECK(said.out.empty());
    } else {
      CHECK(said.code == 0);
    }
  }

  TEST_CASE("Ctrl-C while training: exit code 130, no output, nothing left behind") {
    for (const int signal : {SIGINT, SIGTERM}) {
      const TempDir dir;
      const Said said = interrupted({"finetune", models().mlp, "-o", (dir / "out.safetensors").string(), "--data",
                                     "digits", "--epochs", "1000000", "--patience", "0"},
                                    signal, std::chrono::milliseconds(200));  // well into the first epochs
      check_interrupted(said);
      CHECK(dir.size() == 0);
    }
  }
}
