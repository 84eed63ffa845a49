#include "coppice/engine/io/mapped_file.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "coppice/engine/checked.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const Source kSource{"test", "f.bin"};

std::string text(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace

TEST_SUITE("engine/io/mapped_file") {
  TEST_CASE("small and large files are shown whole, with a readable tail of zeros") {
    const TempDir dir;
    for (const std::size_t size : {0u, 1u, 4095u, 4096u, 65535u, 65536u, 69632u, 200000u}) {
      CAPTURE(size);
      std::string bytes(size, '\0');
      for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 256);
      spill(dir / "f.bin", bytes);
      for (const bool map : {true, false}) {
        const auto file = MappedFile::open(dir / "f.bin", kSource, {.map = map});
        CHECK(text(*file) == bytes);
        CHECK(file->mapped() == (map && size >= 65536));
        for (std::size_t i = 0; i < 64; ++i) CHECK(file->bytes().data()[size + i] == std::byte{0});
      }
    }
  }

  TEST_CASE("writing to the bytes leaves the file alone") {
    const TempDir dir;
    spill(dir / "f.bin", std::string(100000, 'a'));
    const auto file = MappedFile::open(dir / "f.bin", kSource);
    std::memset(file->bytes().data(), 'b', file->bytes().size());
    CHECK(slurp(dir / "f.bin") == std::string(100000, 'a'));
  }

  TEST_CASE("pages that were given back show the file again; other bytes stay") {
    const TempDir dir;
    std::string bytes(300'000, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 13 + i / 4096);
    spill(dir / "f.bin", bytes);
    const auto file = MappedFile::open(dir / "f.bin", kSource);
    REQUIRE(file->mapped());
    CHECK(text(*file) == bytes);
    file->bytes()[100'000] = std::byte{7};  // so that giving back can be seen
    forget_pages(file->bytes().subspan(1, 299'990));
    CHECK(text(*file) == bytes);
    file->bytes()[0] = file->bytes()[299'999] = std::byte{9};  // pages that are not wholly among the bytes
    forget_pages(file->bytes().subspan(1, 299'998));
    CHECK(file->bytes()[0] == std::byte{9});
    CHECK(file->bytes()[299'999] == std::byte{9});
    std::vector<std::byte> own(300'000, std::byte{5});
    forget_pages(own);
    CHECK(std::ranges::count(own, std::byte{5}) == 300'000);
    forget_pages({});
    const auto read = MappedFile::open(dir / "f.bin", kSource, {.map = false});
    forget_pages(read->bytes());
    CHECK(text(*read) == bytes);
  }

  TEST_CASE("the bytes live as long as a storage over them, also when the file is replaced") {
    const TempDir dir;
    spill(dir / "f.bin", std::string(100000, 'a'));
    auto file = MappedFile::open(dir / "f.bin", kSource);
    const auto storage = storage_in(file, file->bytes().subspan(99990, 10));
    file.reset();
    std::filesystem::remove(dir / "f.bin");
    CHECK(std::memcmp(storage->data(), "aaaaaaaaaa", 10) == 0);
  }

  TEST_CASE("the file behind an address is known as long as it is mapped") {
    const TempDir dir;
    const auto path_at = [](const std::byte* address) {
      const char* found = mapped_path_at(address);
      return std::string(found == nullptr ? "none" : found);
    };
    spill(dir / "f.bin", std::string(100000, 'a'));
    auto file = MappedFile::open(dir / "f.bin", kSource), again = MappedFile::open(dir / "f.bin", {"test", "again"});
    const std::byte* begin = file->bytes().data();
    CHECK(path_at(begin) == "f.bin");
    CHECK(path_at(begin + 99999) == "f.bin");
    CHECK(path_at(begin - 1) != "f.bin");
    CHECK(path_at(again->bytes().data()) == "again");
    file.reset();
    CHECK(path_at(begin) == "none");
    CHECK(path_at(again->bytes().data()) == "again");
    const auto read = MappedFile::open(dir / "f.bin", kSource, {.map = false});
    CHECK(path_at(read->bytes().data()) == "none");
    CHECK(path_at(nullptr) == "none");
    const std::string path(1000, 'p');
    const auto last = MappedFile::open(dir / "f.bin", {"test", path + "end"});
    CHECK(path_at(last->bytes().data()) == path.substr(0, 508) + "end");
  }

  TEST_CASE("texts are read whole, up to the limits of headers and files") {
    const TempDir dir;
    spill(dir / "t", "text\n");
    CHECK(read_text(dir / "t", kSource, {}) == "text\n");
    CHECK_THROWS_AS((void)read_text(dir / "t", kSource, {.header_bytes = 4}), LimitError);
    CHECK_THROWS_AS((void)read_text(dir / "t", kSource, {.file_bytes = 4}), LimitError);
    CHECK_THROWS_AS((void)read_text(dir / "absent", kSource, {}), IoError);
    CHECK_THROWS_AS((void)read_text(dir.path(), kSource, {}), IoError);
  }

  TEST_CASE("what is no regular file is refused at once") {
    const TempDir dir;
    const auto refused = [](const std::filesystem::path& path, const char* fragment) {
      const std::string said = outcome([&] { return MappedFile::open(path, kSource); });
      CAPTURE(said);
      CHECK(said.starts_with("IoError: [test] 'f.bin': "));
      CHECK(said.find(fragment) != said.npos);
    };
    refused(dir / "absent", "No such file");
    refused(dir.path(), "it is a directory");
    REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
    refused(dir / "pipe", "it is a pipe");  // and does not wait for a writer
    refused("/dev/zero", "it is a device");
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (dir / "socket").c_str(), sizeof address.sun_path - 1);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    refused(dir / "socket", "it is a socket");
    ::close(fd);
  }

  TEST_CASE("a file beyond the limit is not touched") {
    const TempDir dir;
    spill(dir / "f.bin", "");
    std::filesystem::resize_file(dir / "f.bin", std::uintmax_t{1} << 33);
    ReadOptions options;
    options.limits.file_bytes = 1000;
    CHECK(outcome([&] { return MappedFile::open(dir / "f.bin", kSource, options); }) ==
          "LimitError: [test] 'f.bin': the size of the file must be at most 1000; got 8589934592 (raise "
          "Limits::file_bytes)");
  }

  TEST_CASE("read_head takes what there is") {
    const TempDir dir;
    spill(dir / "f.bin", "abc");
    CHECK(read_head(dir / "f.bin", kSource, 2).size() == 2);
    CHECK(read_head(dir / "f.bin", kSource, 9).size() == 3);
  }
}
