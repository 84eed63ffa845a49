#include <algorithm>
#include <bit>
#include <set>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/atomic_file.h"
#include "coppice/engine/io/json.h"
#include "coppice/engine/io/safetensors.h"
#include "io/file/crc32.h"
#include "io/safetensors/checksums.h"
#include "io/safetensors/dtypes.h"
#include "io/safetensors/quantized.h"
#include "io/safetensors/ties.h"

namespace coppice {
namespace {

constexpr const char* kOp = "write_safetensors";
constexpr std::size_t kLengthBytes = 8;                // in front of the header
constexpr std::uint64_t kLargestHeader = 100'000'000;  // readers that follow the reference take no more

/// Row of the element type in kSafetensorsDtypes, which is in the order of the reference's enumeration.
auto row_of(Dtype dtype) {
  return std::ranges::find(kSafetensorsDtypes, std::optional(dtype), &SafetensorsDtype::dtype);
}

const std::string& checked_text(const std::string& text) {
  if (!is_utf8(text)) throw ValueError(cat("[", kOp, "] names and metadata must be UTF-8; got ", quote(text)));
  return text;
}

const std::string& checked_name(const std::string& name, bool of_tensor) {
  if (name.find('\0') != name.npos || (of_tensor && name == "__metadata__"))
    throw ValueError(cat("[", kOp, "] ", quote(name), " cannot name a tensor or metadata in this format"));
  return checked_text(name);
}

using Plan = std::vector<PlannedTensor>;

std::uint64_t bytes_of(const PlannedTensor& t) {
  return static_cast<std::uint64_t>(t.shape.numel()) * itemsize(t.dtype);
}

/// Positions of the tensors in the order of their data.
std::vector<std::size_t> data_order(const Plan& plan, SafetensorsWriteOptions::DataOrder rule) {
  std::vector<std::size_t> order(plan.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (rule == SafetensorsWriteOptions::DataOrder::reference) {
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
      const auto row_a = row_of(plan[a].dtype), row_b = row_of(plan[b].dtype);
      return row_a != row_b ? row_a > row_b : plan[a].name < plan[b].name;
    });
  }
  return order;
}

/// The checksums of the header and of each tensor, as the metadata holds them.
/// @param of_data  those of the tensors
std::string checksums_of(const Plan& plan, const std::map<std::string, std::string>& metadata,
                         const std::vector<std::uint32_t>& of_data) {
  std::vector<ChecksumEntry> said;
  std::vector<std::size_t> by_name;
  for (const PlannedTensor& t : plan) {
    said.push_back({t.name, row_of(t.dtype)->name, {t.shape.begin(), t.shape.end()}});
    by_name.push_back(by_name.size());
  }
  std::ranges::sort(by_name, {}, [&](std::size_t i) -> const std::string& { return plan[i].name; });
  std::vector<std::uint32_t> words{header_checksum(std::move(said), metadata)};
  for (const std::size_t i : by_name) words.push_back(of_data[i]);
  return checksums_text(words);
}

struct Header {
  std::string text;
  std::size_t checksums_at = 0;  ///< where their text begins, if there are any
};

Header header_of(const Plan& plan, const std::map<std::string, std::string>& metadata,
                 const std::vector<std::uint64_t>& begins) {
  std::size_t checksums_at = 0;
  JsonWriter out;
  out.open_object();
  if (!metadata.empty()) {
    out.key("__metadata__").open_object();
    for (const auto& [key, value] : metadata) {
      out.key(checked_name(key, false));
      if (key == kChecksumKey) checksums_at = out.text().size() + 1;  // behind the quote
      out.value(checked_text(value));
    }
    out.close_object();
  }
  for (std::size_t i = 0; i < plan.size(); ++i) {
    out.key(checked_name(plan[i].name, true)).open_object().key("dtype").value(row_of(plan[i].dtype)->name);
    out.key("shape").open_list();
    for (const std::int64_t size : plan[i].shape) out.value(size);
    out.close_list().key("data_offsets").open_list().value(begins[i]).value(begins[i] + bytes_of(plan[i])).close_list();
    out.close_object();
  }
  return {out.close_object().text(), checksums_at};
}

/// The header with the spaces behind it. @throws LimitError
Header padded_header(const std::filesystem::path& path, const Plan& plan,
                     const std::map<std::string, std::string>& metadata, const std::vector<std::uint64_t>& begins,
                     std::size_t alignment) {
  Header out = header_of(plan, metadata, begins);
  out.text.resize((out.text.size() + kLengthBytes + alignment - 1) / alignment * alignment - kLengthBytes, ' ');
  if (out.text.size() > kLargestHeader)
    throw LimitError(cat("[", kOp, "] ", quote(path.string()), ": the header must be at most ", kLargestHeader,
                         " bytes; got ", out.text.size()));
  return out;
}

void check(const Plan& plan, const std::map<std::string, std::string>& metadata,
           const SafetensorsWriteOptions& options) {
  if (options.alignment < 8 || !std::has_single_bit(options.alignment))
    throw ValueError(cat("[", kOp, "] alignment must be a power of two of at least 8; got ", options.alignment));
  if (metadata.contains(kChecksumKey))
    throw ValueError(cat("[", kOp, "] metadata ", quote(kChecksumKey), " is the writer's own"));
  std::set<std::string_view> names;
  for (const PlannedTensor& t : plan) {
    if (is_quantized(t.dtype))
      throw ValueError(cat("[", kOp, "] ", quote(t.name), " of ", t.dtype, " cannot be planned: it has no scale yet"));
    if (!names.insert(t.name).second) throw KeyError(cat("[", kOp, "] ", quote(t.name), " is planned twice"));
  }
}

/// What `make` gives. @throws StateError  if it is another tensor than was planned
Tensor made(const PlannedTensor& planned) {
  Tensor out = planned.make();
  if (!out.defined() || out.dtype() != planned.dtype || out.shape() != planned.shape)
    throw StateError(cat("[", kOp, "] ", quote(planned.name), " was planned as ", planned.dtype, " ", planned.shape,
                         "; made was ", out.defined() ? cat(out.dtype(), " ", out.shape()) : "nothing"));
  return out;
}

/// Writes a tensor that is made whole, and returns its checksum.
std::uint32_t write_made(AtomicFile& file, const PlannedTensor& planned, bool checksum) {
  const Tensor tensor = made(planned);
  const std::span<const std::byte> bytes{tensor.bytes(), tensor.nbytes()};
  const std::uint32_t crc = checksum ? crc32_of(bytes) : 0;
  file.write(bytes);
  return crc;
}

/// Writes a tensor that is made in pieces, and returns its checksum.
std::uint32_t write_filled(AtomicFile& file, const PlannedTensor& planned, bool checksum) {
  constexpr std::uint64_t piece = AtomicFile::kPiece;
  const std::uint64_t bytes = bytes_of(planned);
  std::vector<std::uint32_t> crcs(checksum ? static_cast<std::size_t>((bytes + piece - 1) / piece) : 0);
  file.write_made(bytes, [&](std::uint64_t at, std::span<std::byte> to) {
    planned.fill(at, to);
    if (checksum) crcs[static_cast<std::size_t>(at / piece)] = crc32_of(to);
  });
  return crcs.empty() ? 0 : crc32_joined(crcs, piece, bytes - (crcs.size() - 1) * piece);
}

/// Where everything stands in a file.
struct Laid {
  std::vector<std::size_t> order;  ///< of the data
  Header header;
  std::uint64_t data_bytes = 0;

  Laid(const std::filesystem::path& path, const Plan& plan, const std::map<std::string, std::string>& given,
       const SafetensorsWriteOptions& options) {
    check(plan, given, options);
    order = data_order(plan, options.data_order);
    std::vector<std::uint64_t> begins(plan.size());
    for (const std::size_t i : order) {
      begins[i] = data_bytes;
      data_bytes += bytes_of(plan[i]);
    }
    // Checksums are known when the data is written; words of the same length hold their place.
    std::map<std::string, std::string> metadata = given;
    if (options.checksums)
      metadata.emplace(kChecksumKey, checksums_of(plan, given, std::vector<std::uint32_t>(plan.size())));
    header = padded_header(path, plan, metadata, begins, options.alignment);
  }
};

/// Tensors that are there. `tensors` must outlive it.
Plan plan_of(const NamedTensors& tensors) {
  Plan out;
  out.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors)
    out.push_back({name, tensor.dtype(), tensor.shape(), [&tensor = tensor] { return tensor; }});
  return out;
}

/// Quantised tensors in their parts, and tied ones once.
NamedTensors plain_and_once(const NamedTensors& given, bool tied) {
  NamedTensors plain = any_quantized(given) ? with_quantized_parts(given) : given;
  return tied ? without_ties(plain) : plain;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const std::vector<PlannedTensor>& plan,
                       const std::map<std::string, std::string>& given, const SafetensorsWriteOptions& options) {
  if (options.tied) throw ValueError(cat("[", kOp, "] planned tensors have no bytes yet that could be tied"));
  const Laid laid(path, plan, given, options);
  const Header& header = laid.header;
  const std::vector<std::size_t>& order = laid.order;
  std::vector<std::uint32_t> of_data(plan.size());

  AtomicFile file(path, kOp);
  std::byte length[kLengthBytes];
  for (unsigned i = 0; i < kLengthBytes; ++i)
    length[i] = static_cast<std::byte>(std::uint64_t{header.text.size()} >> (8 * i) & 0xFF);
  file.write(length);
  file.write(header.text);
  for (const std::size_t i : order) {
    of_data[i] =
        plan[i].fill ? write_filled(file, plan[i], options.checksums) : write_made(file, plan[i], options.checksums);
    if (plan[i].written) plan[i].written();
  }
  if (options.checksums) file.overwrite(kLengthBytes + header.checksums_at, checksums_of(plan, given, of_data));
  file.commit();
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& given,
                       const SafetensorsWriteOptions& options) {
  const NamedTensors tensors = plain_and_once(given, options.tied);
  SafetensorsWriteOptions each = options;
  each.tied = false;
  write_safetensors(path, plan_of(tensors), tensors.metadata(), each);
}

std::uint64_t safetensors_bytes(const NamedTensors& given, const SafetensorsWriteOptions& options) {
  const NamedTensors tensors = plain_and_once(given, options.tied);
  const Laid laid({}, plan_of(tensors), tensors.metadata(), options);
  return kLengthBytes + laid.header.text.size() + laid.data_bytes;
}

}  // namespace coppice
