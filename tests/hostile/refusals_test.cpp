/// Every hostile file against the call that reads it: refused with its category and words, within two seconds of
/// processor time, and without the memory that it asks for.

#include <atomic>
#include <csignal>

#include "coppice/engine/checked.h"
#include "engine/io/io_support.h"
#include "hostile/child.h"
#include "hostile/corpus.h"

using namespace coppice;
using namespace coppice::test;

TEST_SUITE("hostile") {
  TEST_CASE("each file is refused, or read, in a process of two seconds and 512 MB") {
    const TempDir dir;
    std::size_t place = 0;
    for (const HostileFile& file : hostile_corpus()) {
      const auto& what = file.input.what;
      CAPTURE(what);
      const auto path = write_hostile(file, dir.path(), place);
      const ChildResult child = in_child(
          [&] {
            return outcome([&] {
              read_hostile(file, path);
              return 0;
            });
          },
          2, file.padded_bytes != 0 ? 0 : std::uint64_t{1} << 34);
      CAPTURE(child.said);
      CHECK(child.signal == 0);
      CHECK(child.said.starts_with(file.input.category));
      if (file.input.category != "accepted") CHECK(child.said.find(file.input.fragment) != child.said.npos);
      if (child.said != "accepted") CHECK(child.said.find(printable(path.filename().string())) != std::string::npos);
      if (!sanitized()) CHECK(child.grown_kb < 512 * 1024);
      std::filesystem::remove_all(dir / file.entry_name(place++));
    }
    CHECK(place > 450);
  }

  TEST_CASE("a child that crashes or does not end is told apart from a refusal") {
    CHECK(in_child([]() -> std::string { std::abort(); }).signal == SIGABRT);
    if (!sanitized()) {
      const ChildResult spins = in_child(
          []() -> std::string {
            for (std::atomic<int> i = 0;;) ++i;
          },
          1);
      CHECK((spins.signal == SIGXCPU || spins.signal == SIGALRM || spins.signal == SIGKILL));
      CHECK(in_child([] { return std::string(std::string(1u << 28, 'x').substr(0, 1)); }, 2, 1u << 26)
                .said.find("bad_alloc") != std::string::npos);
    }
  }
}
