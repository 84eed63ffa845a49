#pragma once
/// Starts the program coppice as a process of its own and keeps what it said.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/io_support.h"

namespace coppice::test {

using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

inline const std::filesystem::path kLenet =
    std::filesystem::path(COPPICE_TESTS_DIR) / "../sparsity/data/lenet_digits.pt";
inline const std::filesystem::path kLenetArch =
    std::filesystem::path(COPPICE_TESTS_DIR) / "../sparsity/data/lenet_digits.arch.json";

/// What a process said, and how it ended: its exit code, or 1000 + the signal that killed it.
struct Said {
  int code = -1;
  std::string out;
  std::string err;
};

/// Where a process is put.
struct Conditions {
  enum class Out { kept, closed_pipe, full_device } out = Out::kept;
  std::optional<rlim_t> file_bytes = {};     ///< no file may grow beyond
  std::optional<rlim_t> address_bytes = {};  ///< memory that it may map, soon after its start
};

/// The running program. stdout and stderr go to files, so that it never waits for us.
class Child {
 public:
  explicit Child(const Words& words, Conditions where = {}) {
    const char* program = std::getenv("COPPICE_PROGRAM");
    REQUIRE_MESSAGE(program != nullptr, "the path of the program must stand in COPPICE_PROGRAM");
    std::vector<std::string> texts{"coppice"};
    texts.insert(texts.end(), words.begin(), words.end());
    std::vector<char*> argv;
    for (std::string& text : texts) argv.push_back(text.data());
    argv.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string out = where.out == Conditions::Out::full_device ? "/dev/full" : (folder_ / "out").string();
    const std::string err = (folder_ / "err").string();
    int pipe_ends[2] = {-1, -1};
    if (where.out == Conditions::Out::closed_pipe) {
      REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
      ::close(pipe_ends[0]);
      posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 1);
    } else {
      posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT, 0600);
    }
    posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT, 0600);
    // A child inherits the limit; nothing is written here while it is lowered.
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    if (where.file_bytes) {
      const rlimit low{*where.file_bytes, before.rlim_max};
      ::setrlimit(RLIMIT_FSIZE, &low);
    }
    const int error = ::posix_spawn(&pid_, program, &actions, nullptr, argv.data(), environ);
    ::setrlimit(RLIMIT_FSIZE, &before);
    posix_spawn_file_actions_destroy(&actions);
    if (pipe_ends[1] >= 0) ::close(pipe_ends[1]);
    REQUIRE(error == 0);
    if (where.address_bytes) {
      const rlimit low{*where.address_bytes, *where.address_bytes};
      REQUIRE(::prlimit(pid_, RLIMIT_AS, &low, nullptr) == 0);
    }
  }
  ~Child() {
    if (pid_ > 0) ::kill(pid_, SIGKILL), (void)wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

  Said wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    Said said;
    said.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    if (std::filesystem::exists(folder_ / "out")) said.out = slurp(folder_ / "out");
    said.err = slurp(folder_ / "err");
    return said;
  }

 private:
  TempDir folder_;
  pid_t pid_ = -1;
};

/// Runs the program to its end.
inline Said run(const Words& words, Conditions where = {}) { return Child(words, where).wait(); }

/// The result of a command that must succeed, as the one JSON document that it printed.
inline Json json_of(Words words) {
  words.emplace_back("--json");
  const Said said = run(words);
  CAPTURE(said.err);
  REQUIRE(said.code == 0);
  const Json document = Json::parse(said.out, nullptr, false);
  REQUIRE(document.is_object());
  return document;
}

/// Model files of the checkpoints that PyTorch wrote, made by `coppice import`, once per test program.
struct Models {
  TempDir dir;
  std::string lenet = make("lenet", kLenet, kLenetArch);
  std::string mlp = make("mlp", kData / "mlp_digits.pt", kData / "mlp_digits.arch.json");
  std::string lstm = make("lstm", kData / "lstm_digits.pt", kData / "lstm_digits.arch.json");
  std::string pruned80 = make("pruned80", kData / "lenet_digits_pruned80.pt", kLenetArch);

 private:
  [[nodiscard]] std::string make(const std::string& name, const std::filesystem::path& weights,
                                 const std::filesystem::path& arch) const {
    const std::string path = (dir / (name + ".safetensors")).string();
    const Said said = run({"import", weights.string(), "--arch", arch.string(), "-o", path});
    CAPTURE(said.err);
    REQUIRE(said.code == 0);
    return path;
  }
};
inline const Models& models() {
  static const Models made;
  return made;
}

/// Whether `text` holds `part`.
inline bool holds(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace coppice::test
