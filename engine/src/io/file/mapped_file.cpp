#include "coppice/engine/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "coppice/engine/checked.h"
#include "io/file/file_handle.h"
#include "io/file/mapped_range.h"

namespace coppice {
namespace {

constexpr std::uint64_t kSmallestMapped = 64 * 1024;  // below, one read() is cheaper than page faults
constexpr std::size_t kTail = 64;

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "not a regular file";
}

void read_all(int fd, std::byte* out, std::size_t size, const Source& source) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got =
        ::pread(fd, out + done, std::min<std::size_t>(size - done, std::size_t{1} << 30), static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw IoError(source.prefix() + "cannot read: " + errno_text());
    if (got == 0) throw IoError(cat(source.at(done), "the file became shorter while it was read"));
    done += static_cast<std::size_t>(got);
  }
}

struct OpenFile {
  FileHandle fd;
  std::uint64_t size = 0;
};

// O_NONBLOCK: opening a pipe without a writer returns at once; it has no effect on regular files.
constexpr int kReading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

OpenFile open_regular(const std::filesystem::path& path, const Source& source) {
  FileHandle fd(uninterrupted([&] { return ::open(path.c_str(), kReading); }));
  struct stat info {};
  if (!fd && errno == ENXIO && ::stat(path.c_str(), &info) == 0)  // what open() says of a socket
    throw IoError(cat(source.prefix(), "must be a regular file; it is ", kind_of(info.st_mode)));
  if (!fd) throw IoError(source.prefix() + "cannot open: " + errno_text());
  if (::fstat(fd.get(), &info) != 0) throw IoError(source.prefix() + "cannot inspect: " + errno_text());
  if (!S_ISREG(info.st_mode))
    throw IoError(cat(source.prefix(), "must be a regular file; it is ", kind_of(info.st_mode)));
  return {std::move(fd), static_cast<std::uint64_t>(info.st_size)};
}

}  // namespace

std::vector<std::byte> read_head(const std::filesystem::path& path, const Source& source, std::size_t count) {
  const OpenFile file = open_regular(path, source);
  std::vector<std::byte> out(static_cast<std::size_t>(std::min<std::uint64_t>(file.size, count)));
  read_all(file.fd.get(), out.data(), out.size(), source);
  return out;
}

std::string read_text(const std::filesystem::path& path, const Source& source, const Limits& limits) {
  const OpenFile file = open_regular(path, source);
  if (file.size > limits.file_bytes)
    source.exceeded("file_bytes", "the size of the file", limits.file_bytes, file.size);
  if (file.size > limits.header_bytes)
    source.exceeded("header_bytes", "bytes of the text", limits.header_bytes, file.size);
  std::string out(static_cast<std::size_t>(file.size), '\0');
  read_all(file.fd.get(), reinterpret_cast<std::byte*>(out.data()), out.size(), source);
  return out;
}

std::shared_ptr<MappedFile> MappedFile::open(const std::filesystem::path& path, const Source& source,
                                             const ReadOptions& options) {
  const OpenFile file = open_regular(path, source);
  return from(file.fd.get(), file.size, source, options);
}

std::shared_ptr<MappedFile> MappedFile::of(int fd, const Source& source, const ReadOptions& options) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw IoError(source.prefix() + "cannot inspect: " + errno_text());
  if (!S_ISREG(info.st_mode)) source.reject("must be a regular file; it is ", kind_of(info.st_mode));
  return from(fd, static_cast<std::uint64_t>(info.st_size), source, options);
}

std::shared_ptr<MappedFile> MappedFile::from(int fd, std::uint64_t size, const Source& source,
                                             const ReadOptions& options) {
  if (size > options.limits.file_bytes || size > PTRDIFF_MAX / 2)
    source.exceeded("file_bytes", "the size of the file", options.limits.file_bytes, size);

  std::shared_ptr<MappedFile> file(new MappedFile);
  file->size_ = static_cast<std::size_t>(size);
  if (options.map && size >= kSmallestMapped) {
    // An empty mapping that is a little longer, then the file over its beginning: the tail stays readable.
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t span = (file->size_ + kTail + page - 1) / page * page;
    void* base = ::mmap(nullptr, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) throw LimitError(cat(source.prefix(), "no address space for ", size, " bytes"));
    file->data_ = static_cast<std::byte*>(base);
    file->mapping_bytes_ = span;
    const void* mapped =
        ::mmap(base, file->size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0);
    if (mapped != MAP_FAILED) {
      file->range_ = enter_range(file->data_, span, source.file);
      return file;
    }
    // Not every file system can map, and the attempt may have taken the empty mapping away.
    base = ::mmap(base, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) throw LimitError(cat(source.prefix(), "no address space for ", size, " bytes"));
    read_all(fd, file->data_, file->size_, source);
  } else {
    file->storage_ = Storage::allocate(file->size_);
    file->data_ = file->storage_->data();
    read_all(fd, file->data_, file->size_, source);
  }
  return file;
}

MappedFile::~MappedFile() {
  leave_range(range_);
  if (mapping_bytes_ != 0) ::munmap(data_, mapping_bytes_);
}

std::shared_ptr<Storage> storage_in(std::shared_ptr<MappedFile> file, std::span<std::byte> part) {
  return Storage::adopt(part.data(), part.size(), std::move(file));
}

}  // namespace coppice
