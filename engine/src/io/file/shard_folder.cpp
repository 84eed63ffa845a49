#include "io/file/shard_folder.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <string_view>
#include <system_error>

namespace coppice {
namespace {

constexpr int kReading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;  // O_NONBLOCK: no waiting for a pipe's writer
constexpr int kFolder = O_PATH | O_DIRECTORY | O_CLOEXEC;
constexpr int kMostLinks = 40;  // as Linux
constexpr const char* kSnapshots = "snapshots";
constexpr const char* kWay = " (ReadOptions::follow_links, --follow-links, follows it)";

/// Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache. The position in `parts` of the innermost
/// "snapshots" that holds the folder, or of the end.
auto find_snapshots(const std::vector<std::string>& parts) {
  const auto found = std::find(parts.rbegin(), parts.rend(), kSnapshots);
  // Neither the folder itself nor one beside it at the root of all files, which everything is inside of.
  return found == parts.rend() || found == parts.rbegin() || found.base() - parts.begin() < 2 ? parts.end()
                                                                                              : found.base() - 1;
}

std::vector<std::string> parts_of(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0 && path.substr(0, end) != ".") out.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return out;
}

int open_at(int folder, const std::string& name, int flags) {
  return uninterrupted([&] { return ::openat(folder, name.c_str(), flags); });
}

FileHandle open_folder(const std::string& path, int more = 0) {
  return FileHandle(uninterrupted([&] { return ::open(path.c_str(), kFolder | more); }));
}

/// Folders on the way from `root` through `names`; fewer if one cannot be opened or has become a link.
std::vector<FileHandle> walk(const std::string& root, std::vector<std::string>::const_iterator name,
                             std::vector<std::string>::const_iterator end) {
  std::vector<FileHandle> way;
  way.push_back(open_folder(root, O_NOFOLLOW));
  for (; name != end && way.back(); ++name) way.emplace_back(open_at(way.back().get(), *name, kFolder | O_NOFOLLOW));
  if (!way.back()) way.clear();
  return way;
}

/// Where the link `name` leads, or nothing for what is no link. @throws IoError
std::string target_of(int folder, const std::string& name, const Source& shard) {
  std::string target(PATH_MAX, '\0');
  const ssize_t length = ::readlinkat(folder, name.c_str(), target.data(), target.size());
  if (length < 0) throw IoError(cat(shard.prefix(), "cannot open: ", errno_text(errno == EINVAL ? ENOTDIR : errno)));
  target.resize(static_cast<std::size_t>(length));
  return target;
}

}  // namespace

ShardFolder::ShardFolder(const std::filesystem::path& folder, const Source& source, bool follow_links)
    : follow_links_(follow_links) {
  std::error_code error;
  const std::vector<std::string> parts = parts_of(std::filesystem::canonical(folder, error).string());
  if (const auto snapshots = find_snapshots(parts); !error && snapshots != parts.end()) {
    for (auto part = parts.begin(); part != snapshots; ++part) root_ += "/" + *part;
    way_ = walk(root_, snapshots, parts.end());
    if (way_.empty()) root_.clear();
  }
  if (way_.empty()) way_.push_back(open_folder(folder.string()));
  if (!way_.back()) throw IoError(cat(source.prefix(), "cannot open its folder: ", errno_text()));
}

FileHandle ShardFolder::open(const std::string& name, const Source& shard) const {
  const int folder = way_.back().get();
  FileHandle fd(open_at(folder, name, kReading | O_NOFOLLOW));
  if (!fd && errno == ELOOP) {
    if (!follow_links_) return follow(name, shard);
    fd = FileHandle(open_at(folder, name, kReading));
  }
  struct stat info {};
  if (!fd && errno == ENXIO && ::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISSOCK(info.st_mode))
    shard.reject("must be a regular file; it is a socket");
  if (!fd) throw IoError(cat(shard.prefix(), "cannot open: ", errno_text()));
  return fd;
}

FileHandle ShardFolder::follow(const std::string& name, const Source& shard) const {
  if (root_.empty()) shard.reject("must be a file of this folder; it is a symbolic link, which is not followed", kWay);
  const auto refuse_leaving = [&] {
    shard.reject("is a symbolic link that leads out of ", quote_path(root_), ", which holds ", quote(kSnapshots),
                 ", and is not followed", kWay);
  };
  std::vector<FileHandle> opened;  // keeps what `at` has beyond way_
  std::vector<int> at;             // the folders above the place that was reached
  for (const FileHandle& folder : way_) at.push_back(folder.get());
  std::deque<std::string> left{name};
  for (int links = 0; !left.empty();) {
    const std::string part = std::move(left.front());
    left.pop_front();
    if (part == "..") {
      if (at.size() == 1) refuse_leaving();
      at.pop_back();
      continue;
    }
    FileHandle next(open_at(at.back(), part, (left.empty() ? kReading : kFolder) | O_NOFOLLOW));
    if (next && left.empty()) return next;
    if (next) {
      at.push_back(next.get());
      opened.push_back(std::move(next));
      continue;
    }
    // A link, where a folder was wanted, is "not a directory".
    if (errno != ELOOP && errno != ENOTDIR) throw IoError(cat(shard.prefix(), "cannot open: ", errno_text()));
    if (++links > kMostLinks) shard.reject("must lead to a file through at most ", kMostLinks, " symbolic links");
    std::string target = target_of(at.back(), part, shard);
    if (target.starts_with('/')) {
      if (!target.starts_with(root_ + "/")) refuse_leaving();
      target.erase(0, root_.size());
      at.resize(1);
    }
    const std::vector<std::string> parts = parts_of(target);
    left.insert(left.begin(), parts.begin(), parts.end());
  }
  shard.reject("must be a regular file; it is a symbolic link to a directory");
}

}  // namespace coppice
