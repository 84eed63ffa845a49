#include "io/zip/zip.h"

#include <libdeflate.h>

#include <algorithm>
#include <set>

#include "coppice/engine/checked.h"
#include "io/file/crc32.h"
#include "io/zip/inflate_beginning.h"

// Source of the layout: PKWARE APPNOTE 6.3.10, sections 4.3 (records) and 4.5.3 (zip64 sizes).
namespace coppice {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kDirectoryEntry = 0x02014b50;
constexpr std::uint32_t kEndRecord = 0x06054b50;
constexpr std::uint32_t kEndRecord64 = 0x06064b50;
constexpr std::uint32_t kLocator64 = 0x07064b50;
constexpr std::uint64_t kEndRecordBytes = 22;
constexpr std::uint32_t kIn64 = 0xFFFFFFFF;  // "see the zip64 field"
constexpr std::uint16_t kEncrypted = 1, kSizesFollow = 8;

/// Body of the extra field with the given id, or nothing.
std::span<const std::byte> extra_field(std::span<const std::byte> extra, std::uint16_t id, const Source& source,
                                       std::uint64_t at) {
  ByteReader fields(extra, source, at);
  while (fields.remaining() >= 4) {
    const std::uint16_t field = fields.u16("id of an extra field");
    const auto body = fields.bytes(fields.u16("length of an extra field"), "extra field");
    if (field == id) return body;
  }
  return {};
}

}  // namespace

Source inside(const Source& archive, const ZipMember& member) {
  constexpr std::size_t kShown = 120;
  const std::string& name = member.name;
  const std::size_t last = std::min(name.rfind('/'), name.size());
  const std::string shown = name.size() <= kShown ? name : name.size() - last <= kShown ? "…" + name.substr(last) : "…";
  Source out = archive;  // a second name, in quotes like the first
  out.file += cat("', in the ", member.deflated ? "inflated " : "", "member '", shown);
  return out;
}

ZipReader::ZipReader(std::shared_ptr<MappedFile> file, Source source, const ReadOptions& options)
    : file_(std::move(file)), source_(std::move(source)), options_(options) {
  const Directory directory = find_directory();
  if (directory.bytes > options_.limits.header_bytes)
    source_.exceeded("header_bytes", "bytes of the zip directory", options_.limits.header_bytes, directory.bytes);
  if (directory.count > options_.limits.tensors)
    source_.exceeded("tensors", "members of the archive", options_.limits.tensors, directory.count);
  read_directory(directory);
  check_layout(directory.offset);
  std::erase_if(members_, [](const ZipMember& member) { return member.name.ends_with('/'); });
  for (std::size_t i = 0; i < members_.size(); ++i) index_.emplace(members_[i].name, i);
}

/// The end record closes the file; its comment may be up to 65,535 bytes long.
ZipReader::Directory ZipReader::find_directory() const {
  const std::span<const std::byte> all = file_->bytes();
  const std::uint64_t size = all.size();
  std::vector<std::uint64_t> found;
  const std::uint64_t lowest = size > kEndRecordBytes + 0xFFFF ? size - kEndRecordBytes - 0xFFFF : 0;
  for (std::uint64_t at = size < kEndRecordBytes ? 0 : size - kEndRecordBytes + 1; at-- > lowest;) {
    ByteReader record(all.subspan(at), source_, at);
    if (record.u32("end record") != kEndRecord) continue;
    record.skip(16, "end record");
    if (record.u16("comment length") == record.remaining()) found.push_back(at);
  }
  if (found.empty()) source_.reject("the archive has no end record: it is cut short, or no zip file");
  if (found.size() > 1)
    source_.reject_at(found[1], "the archive has two end records, at bytes ", found[1], " and ", found[0]);

  const std::uint64_t end = found[0];
  ByteReader record(all.subspan(end), source_, end);
  record.skip(4, "end record");
  const std::uint16_t disk = record.u16("disk number"), first_disk = record.u16("first disk");
  const std::uint16_t here = record.u16("members on this disk"), count = record.u16("members");
  Directory directory;
  directory.count = count;
  directory.bytes = record.u32("size of the directory");
  directory.offset = record.u32("offset of the directory");
  std::uint64_t directory_end = end;
  const bool has64 = end >= 20 && ByteReader(all.subspan(end - 20), source_).u32("locator") == kLocator64;
  if (has64) {
    directory = zip64_directory(end - 20, directory);
    directory_end = directory.offset + directory.bytes;  // zip64_directory has compared it with its own place
  } else if (disk != 0 || first_disk != 0 || here != count) {
    source_.reject_at(end, "archives of several disks are not read");
  }
  if (directory.offset + directory.bytes != directory_end)
    source_.reject_at(end, "the directory must end where the end record begins: ", directory.offset, " + ",
                      directory.bytes, " is not ", directory_end);
  return directory;
}

ZipReader::Directory ZipReader::zip64_directory(std::uint64_t locator, const Directory& narrow) const {
  const std::span<const std::byte> all = file_->bytes();
  ByteReader reader(all.subspan(locator), source_, locator);
  reader.skip(8, "zip64 locator");
  const std::uint64_t at = reader.u64("offset of the zip64 end record");
  if (at > locator || locator - at < 56) source_.reject_at(locator, "the zip64 end record cannot be at byte ", at);
  ByteReader record(all.subspan(at), source_, at);
  if (record.u32("zip64 end record") != kEndRecord64) source_.reject_at(at, "there is no zip64 end record here");
  if (record.u64("size of the zip64 end record") != locator - at - 12)
    source_.reject_at(at, "the zip64 end record must end where its locator begins");
  record.skip(4, "versions");
  if (record.u32("disk") != 0 || record.u32("first disk") != 0)
    source_.reject_at(at, "archives of several disks are not read");
  Directory wide;
  const std::uint64_t here = record.u64("members on this disk");
  wide.count = record.u64("members");
  wide.bytes = record.u64("size of the directory");
  wide.offset = record.u64("offset of the directory");
  if (here != wide.count || checked_add(wide.offset, wide.bytes) != at)
    source_.reject_at(at, "the directory of ", wide.bytes, " bytes at ", wide.offset,
                      " must end where the zip64 end record begins, at ", at);
  const auto differs = [](std::uint64_t n, std::uint64_t w, std::uint64_t mark) { return n != mark && n != w; };
  if (differs(narrow.count, wide.count, 0xFFFF) || differs(narrow.bytes, wide.bytes, kIn64) ||
      differs(narrow.offset, wide.offset, kIn64))
    source_.reject_at(at, "the two end records disagree");
  return wide;
}

void ZipReader::check_name(std::uint64_t at, std::string_view name) const {
  if (name.size() > options_.limits.name_bytes)
    source_.exceeded("name_bytes", "bytes of a member's name", options_.limits.name_bytes, name.size());
  bool leaves = name.empty() || name.front() == '/' || name.find('\\') != name.npos || name.find('\0') != name.npos;
  for (std::string_view rest = name; !leaves && !rest.empty();) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    leaves = rest.substr(0, slash) == "..";
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  if (leaves || !is_utf8(name))
    source_.reject_at(at, "member ", quote(name), " must have a relative UTF-8 name without '..', '\\' and NUL");
}

void ZipReader::read_directory(const Directory& directory) {
  ByteReader reader(std::span<const std::byte>(file_->bytes()).subspan(directory.offset, directory.bytes), source_,
                    directory.offset);
  if (directory.count > directory.bytes / 46)
    source_.reject_at(directory.offset, "a directory of ", directory.bytes, " bytes cannot hold ", directory.count,
                      " members");
  members_.reserve(directory.count);
  std::set<std::string_view> seen;
  for (std::uint64_t i = 0; i < directory.count; ++i) {
    const std::uint64_t at = reader.position();
    if (reader.u32("directory entry") != kDirectoryEntry)
      source_.reject_at(at, "there is no directory entry ", i, " here");
    ZipMember member;
    reader.skip(4, "versions");
    member.flags = reader.u16("flags");
    const std::uint16_t method = reader.u16("method");
    reader.skip(4, "date");
    member.crc = reader.u32("checksum");
    member.stored_bytes = reader.u32("stored size");
    member.bytes = reader.u32("size");
    const std::uint16_t name_bytes = reader.u16("name length");
    const std::uint16_t extra_bytes = reader.u16("extra length");
    const std::uint16_t comment_bytes = reader.u16("comment length");
    const std::uint16_t disk = reader.u16("disk");
    reader.skip(6, "attributes");
    member.header_offset = reader.u32("offset");
    const std::string_view name = reader.text(name_bytes, "name");
    const auto extra = reader.bytes(extra_bytes, "extra fields");
    reader.skip(comment_bytes, "comment");
    check_name(at, name);
    member.name = name;
    if (!seen.insert(name).second) source_.reject_at(at, "member ", quote(name), " stands twice in the directory");
    if ((member.flags & kEncrypted) != 0) source_.reject_at(at, "member ", quote(name), " is encrypted");
    if (method != 0 && method != 8)
      source_.reject_at(at, "member ", quote(name), " uses method ", method, "; stored (0) and deflated (8) are read");
    member.deflated = method == 8;

    ByteReader wide(extra_field(extra, 1, source_, at), source_, at);
    if (member.bytes == kIn64) member.bytes = wide.u64("zip64 size");
    if (member.stored_bytes == kIn64) member.stored_bytes = wide.u64("zip64 stored size");
    if (member.header_offset == kIn64) member.header_offset = wide.u64("zip64 offset");
    if (disk != 0 && disk != 0xFFFF) source_.reject_at(at, "archives of several disks are not read");
    if (!member.deflated && member.bytes != member.stored_bytes)
      source_.reject_at(at, "stored member ", quote(name), " has sizes ", member.stored_bytes, " and ", member.bytes);
    members_.push_back(std::move(member));
  }
  if (reader.remaining() != 0) reader.reject(reader.remaining(), " bytes follow the last directory entry");
}

/// `end` is where the directory begins: members lie before it.
void ZipReader::check_local_header(ZipMember& member, std::uint64_t end) const {
  const std::uint64_t at = member.header_offset;
  if (at > end) source_.reject_at(at, "member ", quote(member.name), " begins behind the directory at ", end);
  ByteReader reader(std::span<const std::byte>(file_->bytes()).subspan(at, end - at), source_, at);
  const auto differs = [&](const char* what, std::uint64_t here, std::uint64_t there) {
    source_.reject_at(at, "member ", quote(member.name), ": local header and directory disagree about ", what, ": ",
                      here, " and ", there);
  };
  if (reader.u32("local header") != kLocalHeader)
    source_.reject_at(at, "there is no local header of ", quote(member.name), " here");
  reader.skip(2, "version");
  const std::uint16_t flags = reader.u16("flags");
  if (flags != member.flags) differs("the flags", flags, member.flags);
  const std::uint16_t method = reader.u16("method"), expected = member.deflated ? 8 : 0;
  if (method != expected) differs("the method", method, expected);
  reader.skip(4, "date");
  const std::uint32_t crc = reader.u32("checksum");
  std::uint64_t stored = reader.u32("stored size"), bytes = reader.u32("size");
  const std::uint16_t name_bytes = reader.u16("name length"), extra_bytes = reader.u16("extra length");
  if (const std::string_view name = reader.text(name_bytes, "name"); name != member.name)
    source_.reject_at(at, "member ", quote(member.name),
                      ": local header and directory disagree about the name: ", quote(name), " and ",
                      quote(member.name));
  const auto extra = reader.bytes(extra_bytes, "extra fields");
  ByteReader wide(extra_field(extra, 1, source_, at), source_, at);
  if (bytes == kIn64 && wide.remaining() >= 8) bytes = wide.u64("zip64 size");
  if (stored == kIn64 && wide.remaining() >= 8) stored = wide.u64("zip64 stored size");
  // With the flag, sizes and checksum may follow the data and be zero here.
  const bool follow = (flags & kSizesFollow) != 0;
  if (crc != member.crc && !(follow && crc == 0)) differs("the checksum", crc, member.crc);
  if (bytes != member.bytes && !(follow && (bytes == 0 || bytes == kIn64))) differs("the size", bytes, member.bytes);
  if (stored != member.stored_bytes && !(follow && (stored == 0 || stored == kIn64)))
    differs("the stored size", stored, member.stored_bytes);
  member.data_offset = reader.position();
  if (member.stored_bytes > reader.remaining())
    source_.reject_at(at, "member ", quote(member.name), " of ", member.stored_bytes,
                      " bytes must end before the directory; ", reader.remaining(), " bytes are left");
}

/// No byte belongs to two members, and the first one opens the file. In the order of the file, so that no byte is read
/// for two of them: each may claim an extra field of 64 KB.
void ZipReader::check_layout(std::uint64_t end) {
  std::vector<ZipMember*> by_offset;
  for (ZipMember& member : members_) by_offset.push_back(&member);
  std::ranges::stable_sort(by_offset, {}, &ZipMember::header_offset);
  std::uint64_t previous_end = 0;
  for (ZipMember* member : by_offset) {
    if (member->header_offset < previous_end)
      source_.reject_at(member->header_offset, "member ", quote(member->name),
                        " overlaps the one before it, which ends at ", previous_end);
    check_local_header(*member, end);
    if (member == by_offset.front() && member->header_offset != 0)
      source_.reject("the first member must begin at byte 0; it begins at ", member->header_offset);
    previous_end = member->data_offset + member->stored_bytes;
  }
}

const ZipMember* ZipReader::find(const std::string& name) const {
  const auto place = index_.find(name);
  return place == index_.end() ? nullptr : &members_[place->second];
}

std::shared_ptr<Storage> ZipReader::contents(const ZipMember& member, MemoryBudget& budget) const {
  const auto stored = file_->bytes().subspan(member.data_offset, member.stored_bytes);
  auto out = member.deflated ? inflate(member, budget) : storage_in(file_, stored);
  if (options_.verify) {
    const std::uint32_t crc = crc32_of({out->data(), out->bytes()});
    if (crc != member.crc)
      source_.reject_at(member.data_offset, "member ", quote(member.name), " is damaged: checksum ", crc,
                        ", the directory says ", member.crc);
  }
  return out;
}

std::vector<std::byte> ZipReader::beginning(const ZipMember& member, std::size_t most) const {
  auto out = inflate_beginning(file_->bytes().subspan(member.data_offset, member.stored_bytes), most);
  if (!out)
    source_.reject_at(member.data_offset, "member ", quote(member.name), " must inflate to ", member.bytes,
                      " bytes; its data is damaged");
  return *std::move(out);
}

std::shared_ptr<Storage> ZipReader::inflate(const ZipMember& member, MemoryBudget& budget) const {
  constexpr std::uint64_t kFreely = std::uint64_t{1} << 24;  // small members may be all zeros
  const std::uint64_t ratio = member.bytes / std::max<std::uint64_t>(member.stored_bytes, 1);
  if (ratio > 1032)  // deflate cannot do better
    source_.reject_at(member.header_offset, "member ", quote(member.name), " claims ", member.bytes, " bytes from ",
                      member.stored_bytes);
  if (member.bytes > kFreely && ratio > options_.limits.inflate_ratio)
    source_.exceeded("inflate_ratio", cat("compression of member ", quote(member.name)), options_.limits.inflate_ratio,
                     ratio);
  budget.take(member.bytes, cat("member ", quote(member.name)));
  auto out = Storage::allocate(member.bytes);

  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> work(
      ::libdeflate_alloc_decompressor(), &::libdeflate_free_decompressor);
  if (work == nullptr) throw LimitError(source_.prefix() + "no memory to inflate");
  const auto input = file_->bytes().subspan(member.data_offset, member.stored_bytes);
  std::size_t used = 0, made = 0;
  const auto result = ::libdeflate_deflate_decompress_ex(work.get(), input.data(), input.size(), out->data(),
                                                         out->bytes(), &used, &made);
  if (result != LIBDEFLATE_SUCCESS || used != input.size() || made != out->bytes())
    source_.reject_at(member.data_offset, "member ", quote(member.name), " must inflate to exactly ", member.bytes,
                      " bytes; ",
                      result == LIBDEFLATE_BAD_DATA             ? "its data is damaged"
                      : result == LIBDEFLATE_INSUFFICIENT_SPACE ? "it holds more"
                      : used != input.size()                    ? "its data ends before its bytes do"
                                                                : "it holds less");
  return out;
}

}  // namespace coppice
