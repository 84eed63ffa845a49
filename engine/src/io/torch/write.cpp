#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/atomic_file.h"
#include "coppice/engine/io/torch_file.h"
#include "io/zip/zip.h"

namespace coppice {
namespace {

constexpr const char* kRoot = "archive/";  // PyTorch's name for archives that are written to a stream

std::string_view storage_class(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32: return "FloatStorage";
    case Dtype::f64: return "DoubleStorage";
    case Dtype::f16: return "HalfStorage";
    case Dtype::bf16: return "BFloat16Storage";
    case Dtype::i8: return "CharStorage";
    case Dtype::u8: return "ByteStorage";
    case Dtype::i16: return "ShortStorage";
    case Dtype::i32: return "IntStorage";
    case Dtype::i64: return "LongStorage";
    case Dtype::boolean: return "BoolStorage";
    case Dtype::qint8:
    case Dtype::quint8:
    case Dtype::qint32:
    case Dtype::quint4x2: break;
  }
  detail::refuse_quantized(dtype, "write_torch");
}

/// Writes the opcodes that a state dict needs; no memo.
class PickleWriter {
 public:
  void op(char code) { out_ += code; }
  void global(std::string_view module, std::string_view name) { out_ += cat("c", module, "\n", name, "\n"); }
  void text(std::string_view value) {
    op('X');
    little(value.size(), 4);
    out_ += value;
  }
  void integer(std::int64_t value) {
    const auto bits = static_cast<std::uint64_t>(value);
    if (value <= 0xFF)
      op('K'), little(bits, 1);
    else if (value <= INT32_MAX)
      op('J'), little(bits, 4);
    else
      op('\x8A'), op('\x8'), little(bits, 8);
  }
  void integers(std::span<const std::int64_t> values) {
    op('(');
    for (const std::int64_t value : values) integer(value);
    op('t');
  }
  void ordered_dict() {
    global("collections", "OrderedDict");
    out_ += ")R";
  }
  [[nodiscard]] const std::string& bytes() const { return out_; }

 private:
  void little(std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i) out_ += static_cast<char>(value >> (8 * i) & 0xFF);
  }
  std::string out_;
};

/// Bytes of a storage that tensors of one type show.
struct Part {
  const Storage* storage = nullptr;
  Dtype dtype = Dtype::f32;
  std::size_t begin = 0, end = 0;

  [[nodiscard]] std::int64_t elements(std::size_t bytes) const {
    return static_cast<std::int64_t>(bytes / itemsize(dtype));
  }
};

Part part_of(const Tensor& tensor) {
  const std::size_t begin = tensor.storage_offset();
  return {tensor.storage().get(), tensor.dtype(), begin, begin + tensor.nbytes()};
}

/// The parts that are written, and which of them each tensor shows.
struct Parts {
  std::vector<Part> parts;
  std::vector<std::size_t> of;
};

/// Tensors whose bytes overlap show one part, so that they are tied again when they are read; what lies between
/// tensors of one storage is not written. Parts are in the order in which tensors name them.
Parts parts_of(const std::vector<const Tensor*>& tensors) {
  std::vector<std::size_t> order(tensors.size()), joined(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto rank = [&](std::size_t i) {
    const Part p = part_of(*tensors[i]);
    return std::tuple(p.storage, p.dtype, p.begin, p.end, i);
  };
  std::ranges::sort(order, {}, rank);
  std::vector<Part> found;
  for (const std::size_t i : order) {
    const Part part = part_of(*tensors[i]);
    Part* last = found.empty() ? nullptr : &found.back();
    const bool near = last != nullptr && last->storage == part.storage && last->dtype == part.dtype &&
                      (part.begin - last->begin) % itemsize(part.dtype) == 0;
    const bool same = near && last->begin == part.begin && last->end == part.end;
    if (same || (near && part.begin < last->end && part.begin < part.end))
      last->end = std::max(last->end, part.end);
    else
      found.push_back(part);
    joined[i] = found.size() - 1;
  }
  Parts out;
  std::map<std::size_t, std::size_t> number;
  for (const std::size_t part : joined) {
    const auto [place, is_new] = number.try_emplace(part, out.parts.size());
    if (is_new) out.parts.push_back(found[part]);
    out.of.push_back(place->second);
  }
  return out;
}

void write_tensor(PickleWriter& out, const Tensor& tensor, const Part& part, std::size_t key) {
  out.global("torch._utils", "_rebuild_tensor_v2");
  out.op('(');
  out.op('(');
  out.text("storage");
  out.global("torch", storage_class(tensor.dtype()));
  out.text(cat(key));
  out.text("cpu");
  out.integer(part.elements(part.end - part.begin));
  out.op('t');
  out.op('Q');
  out.integer(part.elements(tensor.storage_offset() - part.begin));
  out.integers(tensor.shape().sizes());
  out.integers(strides_of(tensor.shape()));
  out.op('\x89');  // requires_grad: False
  out.ordered_dict();
  out.op('t');
  out.op('R');
}

}  // namespace

void write_torch(const std::filesystem::path& path, const NamedTensors& tensors) {
  std::vector<const Tensor*> shown;
  shown.reserve(tensors.size());
  for (const auto& entry : tensors) shown.push_back(&entry.second);
  const Parts parts = parts_of(shown);
  PickleWriter pickle;
  pickle.op('\x80');
  pickle.op('\2');
  pickle.ordered_dict();
  pickle.op('(');
  std::size_t number = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!is_utf8(name) || name.size() > UINT32_MAX)
      throw ValueError(cat("[write_torch] names must be UTF-8; got ", quote(name)));
    if (tensor.is_quantized())
      throw NotSupported(cat("[write_torch] ", quote(name),
                             " is a quantised tensor, which is not written in this format; ",
                             "convert it to float32 first, or write safetensors"));
    pickle.text(name);
    write_tensor(pickle, tensor, parts.parts[parts.of[number]], parts.of[number]);
    ++number;
  }
  pickle.op('u');
  pickle.op('.');

  AtomicFile file(path, "write_torch");
  ZipWriter zip(file);
  zip.add(cat(kRoot, "data.pkl"), pickle.bytes());
  zip.add(cat(kRoot, "byteorder"), "little");
  for (std::size_t i = 0; i < parts.parts.size(); ++i) {
    const Part& part = parts.parts[i];
    zip.add(cat(kRoot, "data/", i), std::span(part.storage->data() + part.begin, part.end - part.begin));
  }
  zip.add(cat(kRoot, "version"), "3\n");
  zip.finish();
  file.commit();
}

}  // namespace coppice
