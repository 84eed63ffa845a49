/// Loading against reading the bytes once: a safetensors file and a .pt file, mapped, their checksums compared, every
/// byte summed, against cat and read(2), all in turn in one run.
///
///   load_bench [MEGABYTES] [FOLDER]

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/parallel.h"
#include "harness.h"

using namespace coppice;

namespace {

volatile std::uint64_t sink;

/// Reads `words` words once.
std::uint64_t summed(const std::byte* bytes, std::size_t words) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < words; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + 8 * i, 8);
    sum += word;
  }
  return sum;
}

void touch(const NamedTensors& tensors) {
  std::uint64_t sum = 0;
  for (const auto& [name, t] : tensors) sum += summed(t.bytes(), t.nbytes() / 8);
  sink = sum;
}

/// read(2) into one buffer of 128 KB, as cat does, and optionally a sum over it.
void read_file(const std::string& path, bool sum_too) {
  static std::vector<std::uint64_t> buffer(16 * 1024);
  const int fd = ::open(path.c_str(), O_RDONLY);
  std::uint64_t sum = 0;
  for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size() * 8)) > 0;)
    if (sum_too) sum += summed(reinterpret_cast<const std::byte*>(buffer.data()), static_cast<std::size_t>(n) / 8);
  ::close(fd);
  sink = sum;
}

void cat_file(const std::string& path) {
  const char* const argv[] = {"cat", path.c_str(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, "cat", &actions, nullptr, const_cast<char* const*>(argv), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) ::waitpid(pid, nullptr, 0);
}

struct Row {
  std::string what;
  std::function<void()> run;
};

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t megabytes = argc > 1 ? std::atoll(argv[1]) : 200;
  const std::filesystem::path folder = argc > 2 ? argv[2] : std::filesystem::temp_directory_path();
  const std::string st = (folder / "coppice-load-bench.safetensors").string();
  const std::string sums = (folder / "coppice-load-bench-checksums.safetensors").string();
  const std::string pt = (folder / "coppice-load-bench.pt").string();
  NamedTensors tensors;
  for (int i = 0; i < 20; ++i) tensors.add(std::to_string(i), rand({megabytes * 1'000'000 / 80}));
  save_tensors(st, tensors);
  save_tensors(sums, tensors, {.checksums = true});
  save_tensors(pt, tensors);

  // The first two rows are what the others are compared with.
  const std::vector<Row> rows{
      {"cat FILE > /dev/null", [&] { cat_file(st); }},
      {"read(2) every byte, then sum it", [&] { read_file(st, true); }},
      {"read(2) every byte", [&] { read_file(st, false); }},
      {"safetensors, mapped", [&] { (void)load_tensors(st); }},
      {"safetensors, mapped, every byte summed", [&] { touch(load_tensors(st)); }},
      {"safetensors, mapped, checksums compared", [&] { (void)load_tensors(sums); }},
      {"safetensors, mapped, compared and summed", [&] { touch(load_tensors(sums)); }},
      {"safetensors, read, every byte summed", [&] { touch(load_tensors(st, {.map = false})); }},
      {".pt, mapped, every byte summed, not compared", [&] { touch(load_tensors(pt, {.verify = false})); }},
      {".pt, mapped, checksums compared", [&] { (void)load_tensors(pt); }},
  };
  std::vector<std::function<void()>> candidates;
  for (const Row& row : rows) candidates.push_back(row.run);
  const auto timings = bench::measure(candidates, 2.0);
  std::printf("%lld MB in the page cache, %d threads\n", static_cast<long long>(megabytes), num_threads());
  std::printf("%-46s %9s %9s %9s %9s\n", "what", "median ms", "best ms", "to cat", "to read");
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::printf("%-46s %9.2f %9.2f %8.2fx %8.2fx\n", rows[i].what.c_str(), timings[i].median / 1000,
                timings[i].best / 1000, timings[i].median / timings[0].median, timings[i].median / timings[1].median);
  std::printf("one core reads memory at %.1f GB/s\n", bench::read_bandwidth(std::size_t{200} << 20));
  std::filesystem::remove(st);
  std::filesystem::remove(sums);
  std::filesystem::remove(pt);
}
