/// Files that change while they are read, systems that run out, and other languages: an error or a right answer.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <locale>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/nn.h"
#include "engine/io/io_support.h"
#include "hostile/child.h"
#include "hostile/fault_calls.h"

using namespace coppice;
using namespace coppice::test;

namespace {

constexpr std::int64_t kMany = 100'000;  // 400 KB: mapped

void write_ones(const std::filesystem::path& path) { write_safetensors(path, {{"w", full({kMany}, 1)}}); }

bool all_ones(const NamedTensors& tensors) {
  return std::ranges::all_of(tensors.at("w").data<float>(), [](float v) { return v == 1; });
}

/// Runs `change` again and again in another process until `work` returned.
template <class Change, class Work>
void while_changing(Change change, Work work) {
  const pid_t pid = ::fork();
  if (pid == 0)
    for (;;) change();
  work();
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

/// A comma before the decimals and points between thousands, as in half of Europe.
struct Comma final : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

}  // namespace

TEST_SUITE("hostile/changing") {
  TEST_CASE("H29: a mapped file that is cut short ends the process with SIGBUS when it is touched, as documented") {
    if (sanitized()) return;  // it would report the signal in its own way
    const TempDir dir;
    write_ones(dir / "t.safetensors");
    const ChildResult child = in_child([&]() -> std::string {
      const NamedTensors tensors = read_safetensors(dir / "t.safetensors");
      std::filesystem::resize_file(dir / "t.safetensors", 8192);
      return all_ones(tensors) ? "ones" : "others";
    });
    CHECK(child.signal == SIGBUS);
  }

  TEST_CASE("H29: what was read with map = false does not change with the file") {
    const TempDir dir;
    write_ones(dir / "t.safetensors");
    const NamedTensors tensors = read_safetensors(dir / "t.safetensors", {.map = false});
    std::filesystem::resize_file(dir / "t.safetensors", 10);
    CHECK(all_ones(tensors));
  }

  TEST_CASE("H29: a file that shrinks and grows while it is read with map = false: an error, or ones") {
    const TempDir dir;
    write_ones(dir / "t.safetensors");
    const std::uintmax_t size = std::filesystem::file_size(dir / "t.safetensors");
    std::size_t read = 0, refused = 0;
    while_changing(
        [&] {
          std::filesystem::resize_file(dir / "t.safetensors", 10);
          write_safetensors(dir / "whole.safetensors", {{"w", full({kMany}, 1)}});
          std::filesystem::copy_file(dir / "whole.safetensors", dir / "t.safetensors",
                                     std::filesystem::copy_options::overwrite_existing);
          std::filesystem::resize_file(dir / "t.safetensors", size + 100);
          std::filesystem::resize_file(dir / "t.safetensors", size);
        },
        [&] {
          for (int i = 0; i < 300; ++i) {
            const std::string said = outcome([&] {
              const NamedTensors tensors = read_safetensors(dir / "t.safetensors", {.map = false});
              return tensors.size();
            });
            const bool fine = said == "accepted" || said.starts_with("FormatError") || said.starts_with("IoError");
            CAPTURE(said);
            CHECK(fine);
            ++(said == "accepted" ? read : refused);
          }
        });
    CHECK(read + refused == 300);
  }

  TEST_CASE("H30: a file that is replaced keeps its old values where it is open") {
    const TempDir dir;
    write_ones(dir / "t.safetensors");
    for (const bool map : {true, false}) {
      const NamedTensors before = read_safetensors(dir / "t.safetensors", {.map = map});
      write_safetensors(dir / "t.safetensors", {{"w", full({kMany}, 2)}});
      CHECK(all_ones(before));
      CHECK(read_safetensors(dir / "t.safetensors").at("w").at({5}) == 2);
      write_ones(dir / "t.safetensors");
    }
  }

  TEST_CASE("H30: a file that others replace by saving is always read whole") {
    const TempDir dir;
    write_ones(dir / "t.safetensors");
    while_changing([&] { write_ones(dir / "t.safetensors"); },
                   [&] {
                     for (int i = 0; i < 100; ++i) CHECK(all_ones(read_safetensors(dir / "t.safetensors")));
                   });
  }

  TEST_CASE("out of file descriptors: IoError for reading and saving, and both work again afterwards") {
    const TempDir dir;
    write_ones(dir / "t.safetensors");
    const ChildResult child = in_child([&]() -> std::string {
      const int lowest = ::open("/dev/null", O_RDONLY);
      ::close(lowest);
      rlimit before{};
      ::getrlimit(RLIMIT_NOFILE, &before);
      const rlimit none{static_cast<rlim_t>(lowest), before.rlim_max};
      ::setrlimit(RLIMIT_NOFILE, &none);
      const std::string read = outcome([&] { return read_safetensors(dir / "t.safetensors"); });
      const std::string saved = outcome([&] {
        write_ones(dir / "t.safetensors");
        return 0;
      });
      ::setrlimit(RLIMIT_NOFILE, &before);
      if (!read.starts_with("IoError") || read.find("Too many open files") == read.npos) return read;
      if (!saved.starts_with("IoError") || saved.find("Too many open files") == saved.npos) return saved;
      write_ones(dir / "t.safetensors");
      return all_ones(read_safetensors(dir / "t.safetensors")) && dir.size() == 1 ? "fine" : "another file";
    });
    CHECK(child.said == "fine");
  }

  TEST_CASE("out of address space: LimitError, mapped or read") {
    if (sanitized()) return;
    const TempDir dir;
    write_ones(dir / "t.safetensors");
    std::filesystem::resize_file(dir / "t.safetensors", std::uintmax_t{1} << 33);
    for (const bool map : {true, false}) {
      const ChildResult child =
          in_child([&] { return outcome([&] { return read_safetensors(dir / "t.safetensors", {.map = map}); }); }, 2,
                   std::uint64_t{1} << 28);
      CAPTURE(child.said);
      CHECK(child.said.starts_with("LimitError"));
    }
  }

  TEST_CASE("a file system that cannot map: the file is read") {
    const TempDir dir;
    write_ones(dir / "t.safetensors");
    plan_fault(Fault::no_mapping, 0);
    const NamedTensors tensors = read_safetensors(dir / "t.safetensors");
    no_faults();
    std::filesystem::resize_file(dir / "t.safetensors", 10);
    CHECK(all_ones(tensors));
  }

  TEST_CASE("a locale with decimal commas changes no number in a file") {
    const TempDir dir;
    const auto save = [&](const char* name) {
      nn::save_model(*nn::parse_architecture(R"({"type": "LayerNorm", "args": {"normalized_shape": [12345],
                                                                              "eps": 1.5e-4}})"),
                     dir / name);
    };
    save("plain.safetensors");
    const ChildResult child = in_child([&]() -> std::string {
      std::locale::global(std::locale(std::locale::classic(), new Comma));
      // The C library's own locale too, made here where the system has the means.
      const std::string made = (dir / "de_DE.UTF-8").string();
      if (std::system(cat("localedef -i de_DE -f UTF-8 '", made, "' >'", made, ".log' 2>&1").c_str()) == 0) {
        ::setenv("LOCPATH", dir.path().c_str(), 1);
        if (std::setlocale(LC_ALL, "de_DE.UTF-8") == nullptr || std::localeconv()->decimal_point[0] != ',')
          return "the locale has no comma";
      }
      save("comma.safetensors");
      if (slurp(dir / "comma.safetensors") != slurp(dir / "plain.safetensors")) return "the files differ";
      const auto loaded = nn::load_model(dir / "comma.safetensors");
      save_tensors(dir / "t.npy", {{"t", ones({1234567})}});
      if (load_tensors(dir / "t.npy").at("t").numel() != 1234567) return "another shape";
      const auto parsed = nn::parse_architecture(R"({"type": "Dropout", "args": {"p": 0.75}})");
      const auto arguments = parsed->arguments();
      return arguments.number("p", 0) == 0.75 ? cat("fine ", 1234.5) : "another number";
    });
    CAPTURE(child.said);
    CHECK(child.said == "fine 1234.5");
  }

  TEST_CASE("H98: paths that are not UTF-8 are paths, and messages show their bytes") {
    const TempDir dir;
    const auto path = dir / "\xFF\xFE.safetensors";
    write_ones(path);
    CHECK(all_ones(load_tensors(path)));
    spill(path, "{}");
    const std::string said = outcome([&] { return read_safetensors(path); });
    CHECK(said.starts_with("FormatError"));
    CHECK(said.find("/\\xff\\xfe.safetensors'") != said.npos);
  }
}
