#include "coppice/engine/io/atomic_file.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// Lets files of this process grow to `bytes` only.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~SizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace

TEST_SUITE("engine/io/atomic_file") {
  TEST_CASE("bytes that were written are replaced, buffered or not") {
    const TempDir dir;
    for (const std::size_t size : {10u, 3'000'000u}) {
      AtomicFile file(dir / "out", "test");
      std::string text(size, 'a');
      file.write(text);
      file.overwrite(3, "bcd");
      file.overwrite(size, "");
      file.write("end");
      CHECK(file.position() == size + 3);
      CHECK_THROWS_AS(file.overwrite(size, "four"), ValueError);
      CHECK_THROWS_AS(file.overwrite(UINT64_MAX, "x"), ValueError);
      file.commit();
      CHECK_THROWS_AS(file.overwrite(0, "x"), StateError);
      CHECK(slurp(dir / "out") == text.replace(3, 3, "bcd") + "end");
    }
  }

  TEST_CASE("what is made in pieces stands between what is written, for any number of threads") {
    const TempDir dir;
    const int before = num_threads();
    for (const int threads : {1, 2, 7})
      for (const std::size_t size : {0u, 1u, 1u << 20, (5u << 20) + 3u}) {
        set_num_threads(threads);
        AtomicFile file(dir / "out", "test");
        file.write("abc");
        std::atomic<std::uint64_t> bytes = 0;
        file.write_made(size, [&](std::uint64_t at, std::span<std::byte> to) {
          CHECK(at % AtomicFile::kPiece == 0);
          CHECK(to.size() == std::min<std::uint64_t>(AtomicFile::kPiece, size - at));
          for (std::size_t i = 0; i < to.size(); ++i) to[i] = static_cast<std::byte>('a' + (at + i) % 26);
          bytes += to.size();
        });
        file.write("end");
        CHECK(bytes == size);
        CHECK(file.position() == size + 6);
        file.overwrite(0, "A");
        file.commit();
        std::string wanted = "Abc";
        for (std::size_t i = 0; i < size; ++i) wanted += static_cast<char>('a' + i % 26);
        CHECK(slurp(dir / "out") == wanted + "end");
      }
    set_num_threads(before);
  }

  TEST_CASE("a piece that cannot be made or written leaves the old file") {
    const TempDir dir;
    spill(dir / "out", "old");
    {
      AtomicFile file(dir / "out", "test");
      CHECK_THROWS_AS(file.write_made(std::uint64_t{9} << 20,
                                      [](std::uint64_t at, std::span<std::byte>) {
                                        if (at == AtomicFile::kPiece) throw ShapeError("[test] no");
                                      }),
                      ShapeError);
    }
    {
      const SizeLimit limit(3 << 20);
      AtomicFile file(dir / "out", "test");
      CHECK_THROWS_AS(file.write_made(std::uint64_t{9} << 20, [](std::uint64_t, std::span<std::byte>) {}), IoError);
    }
    AtomicFile file(dir / "out2", "test");
    file.commit();
    CHECK_THROWS_AS(file.write_made(1, [](std::uint64_t, std::span<std::byte>) {}), StateError);
    CHECK(slurp(dir / "out") == "old");
    CHECK(dir.size() == 2);
  }

  TEST_CASE("a file appears at commit, whole") {
    const TempDir dir;
    {
      AtomicFile file(dir / "out", "test");
      file.write("abc");
      file.pad_to(8);
      file.write(std::string(200000, 'x'));
      CHECK(file.position() == 200008);
      CHECK(!std::filesystem::exists(dir / "out"));
      file.commit();
      CHECK(outcome([&] {
              file.write("more");
              return 0;
            }).starts_with("StateError"));
      CHECK(outcome([&] {
              file.commit();
              return 0;
            }).starts_with("StateError"));
    }
    CHECK(slurp(dir / "out") == std::string("abc\0\0\0\0\0", 8) + std::string(200000, 'x'));
    CHECK(dir.size() == 1);
  }

  TEST_CASE("without commit the old file stays and nothing else is left") {
    const TempDir dir;
    spill(dir / "out", "old");
    { AtomicFile(dir / "out", "test").write(std::string(100000, 'x')); }
    CHECK(slurp(dir / "out") == "old");
    CHECK(dir.size() == 1);
  }

  TEST_CASE("a file that reaches its size limit is an IoError, not a signal, and leaves the old one") {
    const TempDir dir;
    spill(dir / "out", "old");
    std::string said;
    {
      const SizeLimit limit(100000);
      said = outcome([&] {
        write_file(dir / "out", std::string(500000, 'x'));
        return 0;
      });
    }
    CAPTURE(said);
    CHECK(said.starts_with("IoError: [write_file] "));
    CHECK(said.find("/out': cannot write: File too large") != said.npos);
    CHECK(slurp(dir / "out") == "old");
    CHECK(dir.size() == 1);
    sigset_t pending;
    ::sigpending(&pending);
    CHECK(::sigismember(&pending, SIGXFSZ) == 0);
    CHECK_NOTHROW(write_file(dir / "out", "new"));
    CHECK(slurp(dir / "out") == "new");
  }

  TEST_CASE("folders, devices and what cannot be created are refused with path and reason") {
    const TempDir dir;
    const auto said = [&](const std::filesystem::path& path) {
      return outcome([&] {
        write_file(path, "x");
        return 0;
      });
    };
    CHECK(said(dir.path()).find("it is a directory") != std::string::npos);
    CHECK(said(dir / "absent" / "out").find("No such file or directory") != std::string::npos);
    CHECK(said("/dev/null").find("pipe, socket or device") != std::string::npos);
    CHECK(said(dir / "sub/").find("names no file") != std::string::npos);
    CHECK(dir.size() == 0);
  }

  TEST_CASE("permissions of the replaced file are kept, a symbolic link is replaced") {
    const TempDir dir;
    spill(dir / "out", "old");
    ::chmod((dir / "out").c_str(), 0640);
    write_file(dir / "out", "new");
    struct stat info {};
    ::stat((dir / "out").c_str(), &info);
    CHECK((info.st_mode & 0777) == 0640);
    std::filesystem::create_symlink("out", dir / "link");
    write_file(dir / "link", "linked");
    CHECK(slurp(dir / "out") == "new");
    CHECK(slurp(dir / "link") == "linked");
    CHECK(!std::filesystem::is_symlink(dir / "link"));
  }

  TEST_CASE("the next save removes what a killed writer left, and nothing of a living one") {
    const TempDir dir;
    const pid_t child = ::fork();
    if (child == 0) {
      AtomicFile file(dir / "out", "test");
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(dir.size() == 1);
    AtomicFile living(dir / "out", "test");
    living.write("living");
    CHECK(dir.size() == 1);  // the dead one's file went, the living one's came
    write_file(dir / "out", "second");
    living.commit();
    CHECK(slurp(dir / "out") == "living");
    CHECK(dir.size() == 1);
  }

  TEST_CASE("files whose names only look like those of a killed writer stay") {
    const TempDir dir;
    const std::vector<std::string> others{".out.coppice-notes", ".out.coppice-1",    ".out.coppice-1-",
                                          ".out.coppice--1",    ".out.coppice-1-2x", ".out.coppice-1-2.safetensors",
                                          ".outcoppice-1-2"};
    for (const std::string& name : others) spill(dir / name, "mine");
    spill(dir / ".out.coppice-123-45", "left");
    write_file(dir / "out", "new");
    for (const std::string& name : others) CHECK(slurp(dir / name) == "mine");
    CHECK(dir.size() == others.size() + 1);
  }

  TEST_CASE("two writers at once: one of the files, whole") {
    const TempDir dir;
    const auto save = [&](char c) {
      for (int i = 0; i < 20; ++i) write_file(dir / "out", std::string(100000, c));
    };
    std::thread a(save, 'a'), b(save, 'b');
    a.join();
    b.join();
    const std::string bytes = slurp(dir / "out");
    CHECK(bytes == std::string(100000, bytes[0]));
    CHECK(dir.size() == 1);
  }

  TEST_CASE("long names leave room for the temporary one") {
    const TempDir dir;
    const std::string name(250, 'n');
    write_file(dir / name, "x");
    CHECK(slurp(dir / name) == "x");
  }
}
