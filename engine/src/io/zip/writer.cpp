#include "coppice/engine/error.h"
#include "io/file/crc32.h"
#include "io/zip/zip.h"

namespace coppice {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::uint64_t kIn64 = 0xFFFFFFFF;
constexpr std::uint32_t kNoDate = 0x00210000;  // 1980-01-01, 00:00

/// Little-endian records.
class Record {
 public:
  Record& u16(std::uint64_t value) { return number(value, 2); }
  Record& u32(std::uint64_t value) { return number(value, 4); }
  Record& u64(std::uint64_t value) { return number(value, 8); }
  Record& text(std::string_view value) {
    bytes_ += value;
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  Record& number(std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xFF);
    return *this;
  }
  std::string bytes_;
};

std::uint64_t narrow(std::uint64_t value) { return value < kIn64 ? value : kIn64; }

}  // namespace

void ZipWriter::add(const std::string& name, std::span<const std::byte> head, std::span<const std::byte> body) {
  if (name.empty() || name.size() > 0xFFFF)
    throw ValueError(cat("[ZipWriter] names have 1..65535 bytes; got ", name.size()));
  Written member{name, file_.position(), head.size() + body.size(), 0};
  member.crc = crc32_of(body, crc32_of(head));

  Record extra;
  if (member.bytes >= kIn64) extra.u16(1).u16(16).u64(member.bytes).u64(member.bytes);
  const std::uint64_t before = member.offset + 30 + name.size() + extra.bytes().size() + 4;
  const std::size_t filler = (kAlignment - before % kAlignment) % kAlignment;
  extra.text("FB").u16(filler).text(std::string(filler, 'Z'));  // as PyTorch pads
  Record header;
  header.u32(0x04034b50).u16(member.bytes >= kIn64 ? 45 : 20).u16(0x0800).u16(0).u32(kNoDate).u32(member.crc);
  header.u32(narrow(member.bytes)).u32(narrow(member.bytes)).u16(name.size()).u16(extra.bytes().size());
  file_.write(header.text(name).text(extra.bytes()).bytes());
  file_.write(head);
  file_.write(body);
  written_.push_back(std::move(member));
}

void ZipWriter::finish() {
  const std::uint64_t start = file_.position();
  for (const Written& member : written_) {
    Record extra;
    if (member.bytes >= kIn64) extra.u64(member.bytes).u64(member.bytes);
    if (member.offset >= kIn64) extra.u64(member.offset);
    const std::size_t wide = extra.bytes().size();
    Record entry;
    entry.u32(0x02014b50).u16(45).u16(wide > 0 ? 45 : 20).u16(0x0800).u16(0).u32(kNoDate).u32(member.crc);
    entry.u32(narrow(member.bytes)).u32(narrow(member.bytes)).u16(member.name.size()).u16(wide > 0 ? wide + 4 : 0);
    entry.u16(0).u16(0).u16(0).u32(0).u32(narrow(member.offset)).text(member.name);
    if (wide > 0) entry.u16(1).u16(wide).text(extra.bytes());
    file_.write(entry.bytes());
  }
  const std::uint64_t end = file_.position();
  const std::uint64_t count = written_.size();
  Record tail;
  if (count >= 0xFFFF || end - start >= kIn64 || start >= kIn64) {
    tail.u32(0x06064b50).u64(44).u16(45).u16(45).u32(0).u32(0).u64(count).u64(count).u64(end - start).u64(start);
    tail.u32(0x07064b50).u32(0).u64(end).u32(1);
  }
  const std::uint64_t narrow_count = count < 0xFFFF ? count : 0xFFFF;
  tail.u32(0x06054b50)
      .u16(0)
      .u16(0)
      .u16(narrow_count)
      .u16(narrow_count)
      .u32(narrow(end - start))
      .u32(narrow(start))
      .u16(0);
  file_.write(tail.bytes());
}

}  // namespace coppice
