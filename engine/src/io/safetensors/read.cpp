#include <algorithm>
#include <set>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/safetensors.h"
#include "io/file/crc32.h"
#include "io/file/place.h"
#include "io/left_out.h"
#include "io/safetensors/checksums.h"
#include "io/safetensors/dtypes.h"
#include "io/safetensors/file.h"
#include "io/safetensors/float8.h"
#include "io/safetensors/header.h"
#include "io/safetensors/quantized.h"
#include "io/safetensors/ties.h"

// The order of the checks is that of the reference: safetensors/src/tensor.rs, SafeTensors::read_metadata and
// Metadata::validate.
namespace coppice {
namespace {

SafetensorsEntry checked_entry(RawEntry&& raw, std::uint64_t data_begin, const Source& source) {
  SafetensorsEntry entry;
  const auto known = std::ranges::find(kSafetensorsDtypes, raw.dtype, &SafetensorsDtype::name);
  if (known == kSafetensorsDtypes.end())
    source.reject("tensor ", quote(raw.name), " has the unknown element type ", quote(raw.dtype));
  const std::uint64_t begin = raw.offsets[0], end = raw.offsets[1];
  if (end < begin)
    source.reject("tensor ", quote(raw.name), ": data_offsets end before they begin: ", begin, ", ", end);
  const auto bits = checked_volume(raw.shape, known->bits);
  if (!bits) source.reject("tensor ", quote(raw.name), ": the product of its shape and element size overflows");
  if (*bits % 8 != 0)
    source.reject("tensor ", quote(raw.name), " of ", known->name, " must fill whole bytes; it has ", *bits, " bits");
  if (*bits / 8 != end - begin)
    source.reject("tensor ", quote(raw.name), ": shape and element type ", known->name, " need ", *bits / 8,
                  " bytes; data_offsets give ", end - begin);
  entry.name = std::move(raw.name);
  entry.dtype_name = std::move(raw.dtype);
  entry.dtype = known->dtype;
  entry.shape = Shape(std::vector<std::int64_t>(raw.shape.begin(), raw.shape.end()));
  entry.begin = data_begin + begin;
  entry.end = data_begin + end;
  return entry;
}

/// The ranges cover the data from its first to its last byte, each byte once.
void check_cover(const SafetensorsHeader& header, std::uint64_t file_bytes, const Source& source) {
  std::vector<const SafetensorsEntry*> order;
  for (const SafetensorsEntry& entry : header.entries) order.push_back(&entry);
  std::ranges::sort(order, {}, [](const SafetensorsEntry* e) { return std::pair(e->begin, e->end); });
  std::uint64_t at = header.data_begin;
  for (const SafetensorsEntry* entry : order) {
    if (entry->begin != at)
      source.reject_at(at, "tensor ", quote(entry->name),
                       entry->begin < at ? " overlaps the one before it" : " leaves a hole before it",
                       ": it begins at byte ", entry->begin);
    at = entry->end;
  }
  if (at != file_bytes)
    source.reject_at(at, "the tensors must end where the file ends, at byte ", file_bytes,
                     at < file_bytes ? ": bytes are left over" : ": the file is too short");
}

/// Takes the checksums out of the metadata, and compares that of the header.
void take_checksums(SafetensorsHeader& header, const Source& source, bool verify) {
  const auto carried = header.metadata.extract(kChecksumKey);
  if (carried.empty() || !verify) return;
  const auto words = parse_checksums(carried.mapped(), header.entries.size() + 1, source);
  std::vector<ChecksumEntry> said;
  for (const SafetensorsEntry& entry : header.entries)
    said.push_back({entry.name, entry.dtype_name, {entry.shape.begin(), entry.shape.end()}});
  const std::uint32_t crc = header_checksum(std::move(said), header.metadata);
  if (crc != words[0])
    source.reject("the header is damaged, or was changed by a program that does not know its checksum: it is ",
                  checksum_text(crc), ", metadata ", quote(kChecksumKey), " says ", checksum_text(words[0]));
  std::vector<std::size_t> by_name(header.entries.size());
  for (std::size_t i = 0; i < by_name.size(); ++i) by_name[i] = i;
  std::ranges::sort(by_name, {}, [&](std::size_t i) -> const std::string& { return header.entries[i].name; });
  header.checksums.resize(by_name.size());
  for (std::size_t i = 0; i < by_name.size(); ++i) header.checksums[by_name[i]] = words[i + 1];
}

/// The checksum of bytes that are not wanted soon: their pages are given back on the way.
std::uint32_t crc32_once(std::span<const std::byte> bytes) {
  constexpr std::size_t kWindow = std::size_t{1} << 24;
  std::uint32_t crc = 0;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(kWindow, bytes.size()))) {
    const auto window = bytes.first(std::min(kWindow, bytes.size()));
    crc = crc32_of(window, crc);
    forget_pages(window);
  }
  return crc;
}

void compare_checksums(const SafetensorsHeader& header, std::span<const std::byte> all, const Source& source) {
  for (std::size_t i = 0; i < header.checksums.size(); ++i) {
    const SafetensorsEntry& entry = header.entries[i];
    const std::uint32_t crc = crc32_once(all.subspan(entry.begin, entry.end - entry.begin));
    if (crc != header.checksums[i])
      source.reject_at(entry.begin, "tensor ", quote(entry.name),
                       " is damaged, or was changed by a program that does "
                       "not know its checksum: it is ",
                       checksum_text(crc), ", metadata ", quote(kChecksumKey), " says ",
                       checksum_text(header.checksums[i]));
  }
}

SafetensorsHeader checked_header(const MappedFile& file, const Source& source, const ReadOptions& options) {
  const Limits& limits = options.limits;
  const std::span<const std::byte> all = file.bytes();
  ByteReader reader(all, source);
  const std::uint64_t length = reader.u64("the header length");
  if (length > reader.remaining())
    source.reject_at(0, "the header of ", length, " bytes must lie inside the file; ", reader.remaining(),
                     " bytes are left");
  if (length > limits.header_bytes) source.exceeded("header_bytes", "bytes of the header", limits.header_bytes, length);
  RawHeader raw = parse_safetensors_json(reader.text(length, "header"), source, limits);
  SafetensorsHeader header;
  header.data_begin = reader.position();
  header.metadata = std::move(raw.metadata);
  header.entries.reserve(raw.entries.size());
  for (RawEntry& entry : raw.entries)
    header.entries.push_back(checked_entry(std::move(entry), header.data_begin, source));
  check_cover(header, all.size(), source);
  take_checksums(header, source, options.verify);
  return header;
}

}  // namespace

SafetensorsHeader read_safetensors_header(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"read_safetensors", path.string()};
  return checked_header(*MappedFile::open(path, source, options), source, options);
}

NamedTensors read_safetensors(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"read_safetensors", path.string()};
  return safetensors_in(MappedFile::open(path, source, options), source, options);
}

namespace {

/// Of a type that this library has not: as float32 where that is asked for, else by name.
void take_foreign(NamedTensors& out, const SafetensorsEntry& entry, std::span<const std::byte> bytes,
                  const Source& source, const ReadOptions& options, MemoryBudget& budget) {
  const Float8Values* values = float8_values(entry.dtype_name);
  if (values != nullptr && options.widen_f8) {
    budget.take(bytes.size() * sizeof(float), cat("tensor ", quote(entry.name)));
    Tensor wide = Tensor::empty(entry.shape, Dtype::f32);
    std::ranges::transform(bytes, wide.mutable_data<float>().begin(),
                           [&](std::byte b) { return (*values)[std::to_integer<std::size_t>(b)]; });
    return out.add(entry.name, std::move(wide));
  }
  const char* way = values != nullptr ? " (ReadOptions::widen_f8, --widen-f8, reads it as float32)" : "";
  if (options.strict)
    throw NotSupported(cat(source.prefix(), "tensor ", quote(entry.name), " has element type ", entry.dtype_name,
                           ", which this library does not have", way));
  out.skipped().push_back(left_out_line(entry.name, cat(entry.dtype_name, " of shape ", entry.shape, way)));
}

}  // namespace

NamedTensors safetensors_in(const std::shared_ptr<MappedFile>& file, const Source& source, const ReadOptions& options) {
  SafetensorsHeader header = checked_header(*file, source, options);
  compare_checksums(header, file->bytes(), source);
  MemoryBudget budget(source, options.limits, file->bytes().size());
  NamedTensors out;
  out.metadata() = std::move(header.metadata);
  out.compared() = header.checksums.size();
  std::set<std::string, std::less<>> left_out;
  for (SafetensorsEntry& entry : header.entries) {
    // A storage for each: the version counter of one tensor does not move when another one is written.
    const auto bytes = file->bytes().subspan(entry.begin, entry.end - entry.begin);
    if (!entry.dtype) {
      take_foreign(out, entry, bytes, source, options, budget);
      if (!out.contains(entry.name)) left_out.insert(std::move(entry.name));
      continue;
    }
    Tensor tensor = place_tensor(source, entry.name, storage_in(file, bytes), 0, entry.shape, *entry.dtype, budget);
    out.add(std::move(entry.name), std::move(tensor));
  }
  add_ties(out, left_out, source, options.limits, budget);
  join_quantized(out, source);
  return out;
}

}  // namespace coppice
