#include "coppice/engine/io/atomic_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>

#include "coppice/engine/checked.h"
#include "io/file/file_handle.h"

namespace coppice {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;
constexpr std::uint64_t kSendBytes = std::uint64_t{1} << 23;  // that go to the disk together, while others are made

/// Keeps SIGXFSZ, which ends the process when a file reaches the limit of its size, from this thread, so that write()
/// returns EFBIG instead. The handlers of the program stay as they are.
class NoSizeSignal {
 public:
  NoSizeSignal() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~NoSizeSignal() {
    if (sigismember(&before_, SIGXFSZ) == 1) return;
    const timespec now{};
    while (sigtimedwait(&set_, nullptr, &now) == SIGXFSZ) {
    }  // raised by our own write
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSizeSignal(const NoSizeSignal&) = delete;
  NoSizeSignal& operator=(const NoSizeSignal&) = delete;

 private:
  sigset_t set_;
  sigset_t before_;
};

/// 0, or the errno of the failed write.
template <class Write>
int write_all(std::span<const std::byte> bytes, Write write) {
  const NoSizeSignal guard;
  while (!bytes.empty()) {
    const ssize_t done = write(bytes.data(), std::min<std::size_t>(bytes.size(), std::size_t{1} << 30));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return errno;
    if (done == 0) return EIO;
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
  return 0;
}

int append_all(int fd, std::span<const std::byte> bytes) {
  return write_all(bytes, [fd](const std::byte* from, std::size_t n) { return ::write(fd, from, n); });
}

int write_all_at(int fd, std::uint64_t offset, std::span<const std::byte> bytes) {
  return write_all(bytes, [&](const std::byte* from, std::size_t n) {
    const ssize_t done = ::pwrite(fd, from, n, static_cast<off_t>(offset));
    offset += static_cast<std::uint64_t>(std::max<ssize_t>(done, 0));
    return done;
  });
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

/// "weights.pt" -> ".weights.pt.coppice-"; long names are cut, so that the whole stays below 255 bytes.
std::string temporary_prefix(const std::filesystem::path& path) {
  return cat(".", path.filename().string().substr(0, 180), ".coppice-");
}

/// Whether the name is one that create() makes: prefix, process, '-', number. Another name is a file of somebody else.
bool is_temporary(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  const std::size_t dash = name.find('-');
  const auto number = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  };
  return dash != name.npos && number(name.substr(0, dash)) && number(name.substr(dash + 1));
}

/// Removes the temporary files of writers that are gone. A living writer holds a lock on its file, and a file that
/// could be locked here belongs to nobody.
void remove_leftovers(const std::filesystem::path& path) {
  const std::string prefix = temporary_prefix(path);
  // Not std::filesystem: its iterators that report by error_code end the process when memory runs out.
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(folder_of(path).c_str()), &::closedir);
  while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
    if (!is_temporary(entry->d_name, prefix)) continue;
    const int in = ::dirfd(folder.get());
    const FileHandle fd(::openat(in, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat info {};
    if (fd && ::fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
      (void)::unlinkat(in, entry->d_name, 0);
  }
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path, std::string op) : path_(std::move(path)), op_(std::move(op)) {
  buffer_.reserve(kBufferBytes);
  create();
}

void AtomicFile::create() {
  if (!path_.has_filename()) throw IoError(cat("[", op_, "] ", quote_path(path_.string()), " names no file"));
  struct stat target {};
  const bool exists = ::stat(path_.c_str(), &target) == 0;
  if (exists && !S_ISREG(target.st_mode))
    throw IoError(cat("[", op_, "] ", quote_path(path_.string()), " must be a regular file; it is ",
                      S_ISDIR(target.st_mode) ? "a directory" : "a pipe, socket or device"));
  remove_leftovers(path_);
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < 100; ++attempt) {
    temporary_ = folder_of(path_) / cat(temporary_prefix(path_), ::getpid(), "-", counter.fetch_add(1));
    // In place of a file that others may not read, never readable for them, not even before fchmod().
    const mode_t mode = exists ? 0600 : 0666;
    fd_ = uninterrupted(
        [&] { return ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode); });
    if (fd_ < 0 && errno == EEXIST) continue;
    if (fd_ < 0) fail("cannot create a file in its folder");
    // Between open() and flock() another writer may have taken the file for a leftover: then it holds the lock, or the
    // file has no name any more. Any other failure comes from a file system without locks.
    const bool locked = uninterrupted([&] { return ::flock(fd_, LOCK_EX | LOCK_NB); }) == 0;
    const bool taken = !locked && errno == EWOULDBLOCK;
    struct stat info {};
    if (!taken && (::fstat(fd_, &info) != 0 || info.st_nlink == 1)) {
      if (exists) (void)::fchmod(fd_, target.st_mode & 0777);
      return;
    }
    ::close(std::exchange(fd_, -1));
  }
  errno = EEXIST;
  fail("cannot create a temporary file");
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  (void)::unlink(temporary_.c_str());
  ::close(fd_);
}

void AtomicFile::fail(std::string_view what) const {
  const int code = errno;
  if (code == EFAULT)  // the bytes to be written stand in a mapping
    throw IoError(cat("[", op_, "] ", quote_path(path_.string()), ": ", what,
                      ": the file that its values are read from became shorter"));
  throw IoError(cat("[", op_, "] ", quote_path(path_.string()), ": ", what, ": ", errno_text(code)));
}

void AtomicFile::flush() {
  errno = append_all(fd_, std::as_bytes(std::span(buffer_)));
  if (errno != 0) fail("cannot write");
  buffer_.clear();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (fd_ < 0) throw StateError(cat("[", op_, "] ", quote_path(path_.string()), " was written already"));
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() < kBufferBytes) {
    buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    position_ += bytes.size();
    return;
  }
  while (!bytes.empty()) {
    const auto piece = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), kSendBytes)));
    errno = append_all(fd_, piece);
    if (errno != 0) fail("cannot write");
    position_ += piece.size();
    send(piece.size());
    bytes = bytes.subspan(piece.size());
  }
}

/// The disk begins with what was written, so that commit() finds little left to wait for.
void AtomicFile::send([[maybe_unused]] std::uint64_t bytes) {
#ifdef SYNC_FILE_RANGE_WRITE
  const std::uint64_t before = sent_.fetch_add(bytes);
  if (before / kSendBytes != (before + bytes) / kSendBytes)
    (void)::sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);  // a wish
#endif
}

void AtomicFile::write_made(std::uint64_t bytes, FunctionRef<void(std::uint64_t, std::span<std::byte>)> make) {
  if (fd_ < 0) throw StateError(cat("[", op_, "] ", quote_path(path_.string()), " was written already"));
  flush();
  const std::uint64_t begin = position_, pieces = (bytes + kPiece - 1) / kPiece;
  std::atomic<std::uint64_t> next = 0;
  const auto write_pieces = [&] {
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(std::min(bytes, kPiece)));
    for (std::uint64_t i = next++; i < pieces; i = next++) {
      const std::span<std::byte> piece(buffer.get(), static_cast<std::size_t>(std::min(kPiece, bytes - i * kPiece)));
      make(i * kPiece, piece);
      errno = write_all_at(fd_, begin + i * kPiece, piece);
      if (errno != 0) fail("cannot write");
      send(piece.size());
    }
  };
  const auto threads = std::min<std::uint64_t>(pieces, static_cast<std::uint64_t>(num_threads()));
  parallel_for(static_cast<std::int64_t>(threads), 1, [&](Rows rows) {
    for (auto r = rows.begin; r < rows.end; ++r) try {
        write_pieces();
      } catch (...) {
        next = pieces;  // the others end too
        throw;
      }
  });
  position_ = begin + bytes;
  if (::lseek(fd_, static_cast<off_t>(position_), SEEK_SET) < 0) fail("cannot write");
}

void AtomicFile::overwrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (fd_ < 0) throw StateError(cat("[", op_, "] ", quote_path(path_.string()), " was written already"));
  if (offset > position_ || bytes.size() > position_ - offset)
    throw ValueError(cat("[", op_, "] ", bytes.size(), " bytes at ", offset, " of the ", position_, " written"));
  flush();
  errno = write_all_at(fd_, offset, bytes);
  if (errno != 0) fail("cannot write");
}

void AtomicFile::pad_to(std::size_t alignment) {
  static constexpr std::array<std::byte, 256> kZeros{};
  for (std::size_t left = (alignment - position_ % alignment) % alignment; left > 0;) {
    const std::size_t piece = std::min(left, kZeros.size());
    write(std::span(kZeros).first(piece));
    left -= piece;
  }
}

void AtomicFile::commit() {
  if (fd_ < 0) throw StateError(cat("[", op_, "] ", quote_path(path_.string()), " was written already"));
  flush();
  if (uninterrupted([&] { return ::fsync(fd_); }) != 0) fail("cannot send to the disk");
  const FileHandle folder(
      uninterrupted([&] { return ::open(folder_of(path_).c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY); }));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot rename the temporary file");
  // From here on the new file is in place: the data is on the disk, and what follows makes its name durable too. It
  // takes no memory unless it fails.
  const int result = ::close(std::exchange(fd_, -1));
  if (result != 0 && errno != EINTR) fail("cannot close");
  if (folder && uninterrupted([&] { return ::fsync(folder.get()); }) != 0 && errno != EINVAL && errno != EROFS)
    fail("cannot send its folder to the disk");
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path, "write_file");
  file.write(bytes);
  file.commit();
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span(text)));
}

}  // namespace coppice
