#include <algorithm>
#include <bit>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/atomic_file.h"
#include "coppice/engine/io/json.h"
#include "coppice/engine/io/safetensors.h"
#include "io/file/crc32.h"
#include "io/safetensors/checksums.h"
#include "io/safetensors/dtypes.h"
#include "io/safetensors/ties.h"

namespace coppice {
namespace {

constexpr const char* kOp = "write_safetensors";
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

/// Positions of the tensors in the order of their data.
std::vector<std::size_t> data_order(const NamedTensors& tensors, SafetensorsWriteOptions::DataOrder rule) {
  std::vector<std::size_t> order(tensors.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (rule == SafetensorsWriteOptions::DataOrder::reference) {
    std::ranges::sort(order, [first = tensors.begin()](std::size_t a, std::size_t b) {
      const auto& [name_a, tensor_a] = first[static_cast<std::ptrdiff_t>(a)];
      const auto& [name_b, tensor_b] = first[static_cast<std::ptrdiff_t>(b)];
      const auto row_a = row_of(tensor_a.dtype()), row_b = row_of(tensor_b.dtype());
      return row_a != row_b ? row_a > row_b : name_a < name_b;
    });
  }
  return order;
}

/// The checksums of the header and of each tensor, as the metadata holds them.
std::string checksums_of(const NamedTensors& tensors) {
  std::vector<ChecksumEntry> said;
  std::vector<const NamedTensors::Entry*> by_name;
  for (const auto& entry : tensors) {
    const Shape& shape = entry.second.shape();
    said.push_back({entry.first, row_of(entry.second.dtype())->name, {shape.begin(), shape.end()}});
    by_name.push_back(&entry);
  }
  std::ranges::sort(by_name, {}, [](const NamedTensors::Entry* entry) -> const std::string& { return entry->first; });
  std::vector<std::uint32_t> words{header_checksum(std::move(said), tensors.metadata())};
  for (const auto* entry : by_name) words.push_back(crc32_of({entry->second.bytes(), entry->second.nbytes()}));
  return checksums_text(words);
}

std::string header_text(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata,
                        const std::vector<std::uint64_t>& begins) {
  JsonWriter out;
  out.open_object();
  if (!metadata.empty()) {
    out.key("__metadata__").open_object();
    for (const auto& [key, value] : metadata) out.key(checked_name(key, false)).value(checked_text(value));
    out.close_object();
  }
  std::size_t i = 0;
  for (const auto& [name, tensor] : tensors) {
    out.key(checked_name(name, true)).open_object().key("dtype").value(row_of(tensor.dtype())->name);
    out.key("shape").open_list();
    for (const std::int64_t size : tensor.shape()) out.value(size);
    const std::uint64_t begin = begins[i++];
    out.close_list().key("data_offsets").open_list().value(begin).value(begin + tensor.nbytes()).close_list();
    out.close_object();
  }
  return out.close_object().text();
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const NamedTensors& given,
                       const SafetensorsWriteOptions& options) {
  const NamedTensors once = options.tied ? without_ties(given) : NamedTensors();
  const NamedTensors& tensors = options.tied ? once : given;
  if (options.alignment < 8 || !std::has_single_bit(options.alignment))
    throw ValueError(cat("[", kOp, "] alignment must be a power of two of at least 8; got ", options.alignment));
  if (tensors.metadata().contains(kChecksumKey))
    throw ValueError(cat("[", kOp, "] metadata ", quote(kChecksumKey), " is the writer's own"));
  const std::vector<std::size_t> order = data_order(tensors, options.data_order);
  std::vector<std::uint64_t> begins(tensors.size());
  std::uint64_t at = 0;
  for (const std::size_t i : order) {
    begins[i] = at;
    at += tensors.begin()[static_cast<std::ptrdiff_t>(i)].second.nbytes();
  }
  std::map<std::string, std::string> metadata = tensors.metadata();
  if (options.checksums) metadata.emplace(kChecksumKey, checksums_of(tensors));
  std::string header = header_text(tensors, metadata, begins);
  const std::size_t padded = (header.size() + 8 + options.alignment - 1) / options.alignment * options.alignment;
  header.resize(padded - 8, ' ');
  if (header.size() > kLargestHeader)
    throw LimitError(cat("[", kOp, "] ", quote(path.string()), ": the header must be at most ", kLargestHeader,
                         " bytes; got ", header.size()));

  AtomicFile file(path, kOp);
  std::byte length[8];
  for (unsigned i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(std::uint64_t{header.size()} >> (8 * i) & 0xFF);
  file.write(length);
  file.write(header);
  for (const std::size_t i : order) {
    const Tensor& tensor = tensors.begin()[static_cast<std::ptrdiff_t>(i)].second;
    file.write({tensor.bytes(), tensor.nbytes()});
  }
  file.commit();
}

}  // namespace coppice
