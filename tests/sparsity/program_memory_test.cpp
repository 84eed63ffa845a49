/// `prune --memory-limit`: what is planned is never exceeded, and what cannot be kept is refused before anything is
/// done.

#include <fstream>
#include <regex>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/random.h"
#include "program_refused.h"

using namespace coppice;
using namespace coppice::test;

namespace {

constexpr std::uint64_t kMega = std::uint64_t{1} << 20;

/// 68 MB in six tensors, and as PyTorch's file.
struct Files {
  TempDir dir;
  std::string plain = (dir / "plain.safetensors").string(), torch = (dir / "plain.pt").string();
  std::string masked = (dir / "masked.safetensors").string();

  Files() {
    manual_seed(11);
    NamedTensors tensors;
    for (const char* name : {"a.weight", "b.weight", "c.weight"}) tensors.add(name, randn({4096, 1024}));
    tensors.add("half.weight", randn({2048, 1024}).to(Dtype::f16));
    tensors.add("double.weight", randn({1024, 1024}).to(Dtype::f64));
    tensors.add("embed", randn({4096 * 1024}));
    save_tensors(plain, tensors);
    save_tensors(torch, tensors);
    REQUIRE(run({"prune", plain, "-o", masked, "--amount", "0.5", "--keep-masks"}).code == 0);
  }
};
const Files& files() {
  static const Files made;
  return made;
}

Words words_of(const std::string& in, const std::string& out, const Words& method) {
  Words words{"prune", in, "-o", out, "--force"};
  words.insert(words.end(), method.begin(), method.end());
  return words;
}

Words with_limit(Words words, std::uint64_t limit) {
  words.insert(words.end(), {"--memory-limit", std::to_string(limit)});
  return words;
}

/// The bytes that a refusal says are needed.
std::uint64_t needed_by(const Said& said) {
  std::smatch found;
  CAPTURE(said.err);
  REQUIRE(std::regex_search(said.err, found, std::regex("--memory-limit: .* needs ([0-9]+) bytes; the limit is")));
  return std::stoull(found[1]);
}

struct Row {
  Words method;
  std::uint64_t most;  ///< megabytes that may be planned: the bound means something
};
const std::vector<Row> kRows{
    {{"--amount", "0.9", "--include", "?.weight"}, 80},
    {{"--amount", "0.9", "--include", "?.weight", "--keep-masks", "--checksums"}, 80},
    {{"--amount", "0.9"}, 250},  // with one of float64, which does not stream
    {{"--amount", "0.9", "--include", "?.weight", "--ties", "pytorch"}, 450},
    {{"--method", "global_l1", "--amount", "0.9", "--include", "?.weight", "--include", "half.weight"}, 80},
    {{"--method", "global_l1", "--amount", "0.9", "--ties", "pytorch"}, 2000},
    {{"--method", "global_l1", "--amount", "0.9", "--keep-at-least", "0.01"}, 2000},
    {{"--method", "global_random", "--amount", "0.9"}, 2000},
    {{"--method", "random_unstructured", "--amount", "0.9"}, 250},
    {{"--method", "ln_structured", "--amount", "0.5", "--n", "3", "--dim", "1"}, 250},
    {{"--method", "random_structured", "--amount", "0.5"}, 250},
    {{"--sparsifier", "weight_norm", "--sparsity-level", "0.9", "--block", "16x1"}, 250},
    {{"--sparsifier", "weight_norm", "--sparsity-level", "0.9", "--block", "1x4", "--ties", "pytorch"}, 450},
    {{"--sparsifier", "data_norm", "--sparsity-level", "0.9", "--norm", "l2"}, 250},
    {{"--sparsifier", "nm"}, 250},
};

/// The most that /proc said of a process until it ended; a little less than it really was.
std::uint64_t seen_from_outside(const Child& child) {
  std::uint64_t most = 0;
  for (siginfo_t info{};
       ::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;) {
    std::ifstream status("/proc/" + std::to_string(child.pid()) + "/status");
    for (std::string word; status >> word;)
      if (std::uint64_t kilobytes = 0; word == "VmHWM:" && status >> kilobytes) most = std::max(most, kilobytes * 1024);
    ::usleep(500);
  }
  return most;
}

}  // namespace

TEST_SUITE("sparsity/cli/memory") {
  TEST_CASE("the plan is an upper bound of the peak for every method, and a useful one for those that stream") {
    const std::string out = (files().dir / "out.safetensors").string();
    for (const Row& row : kRows)
      for (const char* threads : {"1", "2", "4"}) {
        if (row.most > 80 && std::string(threads) != "2") continue;  // where slack of threads is not all there is
        Words words = with_limit(words_of(files().plain, out, row.method), 4000 * kMega);
        words.insert(words.end(), {"--threads", threads});
        CAPTURE(words);
        const Json memory = json_of(words).at("memory");
        CHECK(memory.at("limit") == 4000 * kMega);
        CHECK(memory.at("peak") <= memory.at("planned"));
        CHECK(memory.at("peak") > 10 * kMega);
        CHECK(memory.at("planned") < row.most * kMega);
      }
  }

  TEST_CASE("checkpoints with masks, of PyTorch, and written as such are bounded too") {
    const std::string out = (files().dir / "out.safetensors").string(), pt = (files().dir / "out.pt").string();
    for (const Words& method : {Words{"--amount", "0.9"}, Words{"--method", "global_l1", "--amount", "0.9"},
                                Words{"--sparsifier", "weight_norm", "--keep-masks"}})
      for (const auto& [from, to] : {std::pair(files().masked, out), {files().torch, out}, {files().plain, pt}}) {
        const Words words = with_limit(words_of(from, to, method), 8000 * kMega);
        CAPTURE(words);
        const Json memory = json_of(words).at("memory");
        CHECK(memory.at("peak") <= memory.at("planned"));
      }
    const Json memory =
        json_of(with_limit(words_of(models().lenet, out, {"--amount", "0.5"}), 500 * kMega)).at("memory");
    CHECK(memory.at("peak") <= memory.at("planned"));
  }

  TEST_CASE("a limit is kept, with the same output, or refused with the bytes that are needed") {
    const std::string out = (files().dir / "limited.safetensors").string();
    const std::string free = (files().dir / "free.safetensors").string();
    for (const Words& method : {Words{"--method", "global_l1", "--amount", "0.9", "--include", "?.weight"},
                                Words{"--amount", "0.9", "--include", "?.weight", "--keep-masks"},
                                Words{"--sparsifier", "weight_norm", "--sparsity-level", "0.7"}}) {
      const Said refused = run(with_limit(words_of(files().plain, out, method), 30 * kMega));
      CHECK(refused.code == 4);
      CHECK(refused.out.empty());
      CHECK_FALSE(std::filesystem::exists(out));
      const std::uint64_t needed = needed_by(refused);
      CHECK(needed > 30 * kMega);
      const std::uint64_t limit = needed + kMega;  // pages that the program touches are never quite the same
      const Json memory = json_of(with_limit(words_of(files().plain, out, method), limit)).at("memory");
      CHECK(memory.at("limit") == limit);
      CHECK(memory.at("planned") <= limit);
      CHECK(memory.at("peak") <= limit);
      REQUIRE(run(words_of(files().plain, free, method)).code == 0);
      CHECK(slurp(out) == slurp(free));
      std::filesystem::remove(out);
    }
  }

  TEST_CASE("what reading alone needs is refused before it") {
    const std::string out = (files().dir / "refused.safetensors").string();
    for (const std::string& in : {files().plain, files().torch, models().lenet}) {
      const Said said = run(with_limit(words_of(in, out, {"--amount", "0.5"}), kMega));
      CHECK(said.code == 4);
      CHECK(needed_by(said) > kMega);
    }
    // The whole file of PyTorch may be copied while it is read.
    const Said said = run(with_limit(words_of(files().torch, out, {"--amount", "0.5"}), 100 * kMega));
    CHECK(said.code == 4);
    CHECK(holds(said.err, "reading"));
    CHECK_FALSE(std::filesystem::exists(out));
    for (const char* bad : {"0", "-1", "1.5", "much"})
      CHECK(run({"prune", files().plain, "-o", out, "--amount", "0.5", "--memory-limit", bad}).code == 2);
  }

  TEST_CASE("the peak that is told is what is seen from outside, with a limit and without") {
    const std::string out = (files().dir / "out.safetensors").string();
    for (const bool limited : {false, true}) {
      Words words = words_of(files().plain, out, {"--sparsifier", "weight_norm"});
      words.emplace_back("--json");
      if (limited) words = with_limit(words, 1000 * kMega);
      Child child(words);
      const std::uint64_t seen = seen_from_outside(child);
      const Json memory = Json::parse(child.wait().out).at("memory");
      CHECK(memory.at("peak") >= seen - kMega);  // the report itself is written when it is known
      CHECK(memory.at("peak") <= seen + 8 * kMega);
      CHECK(memory.at("limit").is_null() == !limited);
      CHECK(memory.at("planned").is_null() == !limited);
    }
  }

  TEST_CASE("the report tells the peak where a limit was given") {
    const std::string out = (files().dir / "out.safetensors").string();
    const Words words = words_of(files().plain, out, {"--amount", "0.9", "--include", "a.weight"});
    CHECK_FALSE(holds(run(words).out, "peak memory"));
    const Said said = run(with_limit(words, 500'000'000));
    CHECK(std::regex_search(said.out, std::regex("peak memory: [0-9,]+ bytes; planned [0-9,]+, limit 500,000,000\n")));
    Words dry = with_limit(words, 500'000'000);
    dry.emplace_back("--dry-run");
    CHECK(holds(run(dry).out, "peak memory: "));
  }
}
