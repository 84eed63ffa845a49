/// Pruning a checkpoint against copying its file and reading it once more, with a cold and a warm cache: time, and the
/// peak memory of the program. A run of an empty checkpoint is the program itself. Times are the least of several
/// rounds, in each of which both are taken one after the other.
///
///   out_of_core PROGRAM [MEGABYTES] [FOLDER] [ROUNDS]

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "coppice/engine/create.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/random.h"

using namespace coppice;

namespace {

constexpr std::int64_t kLayers = 12;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "out_of_core: %s\n", what.c_str());
  std::exit(1);
}

/// In a process of its own: the peak that wait4() tells of a child begins with what its parent has held.
void write_checkpoint(const std::string& path, std::int64_t megabytes) {
  const pid_t pid = ::fork();
  if (pid != 0) {
    int status = 0;
    if (pid < 0 || ::waitpid(pid, &status, 0) != pid || status != 0) fail("cannot write " + path);
    return;
  }
  manual_seed(0);
  std::vector<PlannedTensor> plan;
  const Shape shape{megabytes * 256 / kLayers, 1024};
  for (std::int64_t i = 0; i < kLayers && megabytes > 0; ++i)
    plan.push_back({cat("layers.", i, ".weight"), Dtype::f32, shape, [shape] { return randn(shape); }});
  write_safetensors(path, plan, {});
  std::_Exit(0);
}

/// The file leaves the page cache.
void forget(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY);
  if (fd < 0 || ::fsync(fd) != 0 || ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) fail("cannot forget " + path);
  ::close(fd);
}

void read_once(const std::string& path, int out = -1) {
  static std::vector<char> buffer(std::size_t{1} << 20);
  const int fd = ::open(path.c_str(), O_RDONLY);
  if (fd < 0) fail("cannot read " + path);
  for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) > 0;)
    if (out >= 0 && ::write(out, buffer.data(), static_cast<std::size_t>(n)) != n) fail("cannot write");
  ::close(fd);
}

/// Copied to the disk, and read once more.
void copy_and_read(const std::string& from, const std::string& to) {
  const int out = ::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (out < 0) fail("cannot write " + to);
  read_once(from, out);
  if (::fsync(out) != 0) fail("cannot write " + to);
  ::close(out);
  read_once(from);
}

double seconds(const std::function<void()>& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Runs the program and returns its peak memory in MB.
double run(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  if (::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ) != 0) fail("cannot start " + words[0]);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  rusage used{};
  if (::wait4(pid, &status, 0, &used) != pid || status != 0) fail("the program failed");
  return static_cast<double>(used.ru_maxrss) / 1024;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) fail("usage: out_of_core PROGRAM [MEGABYTES] [FOLDER] [ROUNDS]");
  const std::int64_t megabytes = argc > 2 ? std::atoll(argv[2]) : 600;
  if (megabytes < kLayers) fail("MEGABYTES must be at least 12");
  const std::filesystem::path folder = argc > 3 ? argv[3] : ".";
  const int rounds = std::max(1, argc > 4 ? std::atoi(argv[4]) : 3);
  const auto at = [&](const char* name) { return (folder / name).string(); };
  const std::string in = at("out_of_core.in.safetensors"), out = at("out_of_core.out.safetensors"),
                    copy = at("out_of_core.copy"), empty = at("out_of_core.empty.safetensors");
  write_checkpoint(in, megabytes);
  write_checkpoint(empty, 0);
  const double start = run({argv[1], "inspect", empty});
  std::printf("%lld MB in %lld tensors of %.0f MB; the program itself takes %.0f MB\n",
              static_cast<long long>(megabytes), static_cast<long long>(kLayers),
              static_cast<double>(megabytes) / kLayers, start);
  std::printf("%-28s %-6s %10s %12s %8s %10s\n", "prune", "cache", "seconds", "copy + read", "ratio", "peak MB");
  const std::vector<std::vector<std::string>> methods{
      {"--method", "l1_unstructured", "--amount", "0.9"},
      {"--method", "global_l1", "--amount", "0.9"},
      {"--method", "global_l1", "--amount", "0.9", "--keep-masks"},
      {"--sparsifier", "weight_norm", "--sparsity-level", "0.9", "--block", "16x1"}};
  for (const auto& method : methods)
    for (const bool cold : {true, false}) {
      const auto prepare = [&] {
        std::filesystem::remove(out), std::filesystem::remove(copy);
        if (cold)
          forget(in);
        else
          read_once(in);
      };
      std::vector<std::string> words{argv[1], "prune", in, "-o", out, "--force"};
      words.insert(words.end(), method.begin(), method.end());
      double peak = 0, copied = 1e9, pruned = 1e9;
      for (int round = 0; round < rounds; ++round) {
        prepare();
        copied = std::min(copied, seconds([&] { copy_and_read(in, copy); }));
        prepare();
        pruned = std::min(pruned, seconds([&] { peak = std::max(peak, run(words)); }));
      }
      std::string name = method[1];
      if (method.back() == "--keep-masks") name += " --keep-masks";
      std::printf("%-28s %-6s %10.2f %12.2f %8.2f %10.0f\n", name.c_str(), cold ? "cold" : "warm", pruned, copied,
                  pruned / copied, peak);
    }
  for (const std::string& file : {in, out, copy, empty}) std::filesystem::remove(file);
  return 0;
}
