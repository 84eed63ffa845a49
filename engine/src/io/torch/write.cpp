#include <map>
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
    case Dtype::boolean: break;
  }
  return "BoolStorage";
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

void write_tensor(PickleWriter& out, const Tensor& tensor, std::size_t key) {
  out.global("torch._utils", "_rebuild_tensor_v2");
  out.op('(');
  out.op('(');
  out.text("storage");
  out.global("torch", storage_class(tensor.dtype()));
  out.text(cat(key));
  out.text("cpu");
  out.integer(tensor.numel());
  out.op('t');
  out.op('Q');
  out.integer(0);
  out.integers(tensor.shape().sizes());
  out.integers(strides_of(tensor.shape()));
  out.op('\x89');  // requires_grad: False
  out.ordered_dict();
  out.op('t');
  out.op('R');
}

}  // namespace

void write_torch(const std::filesystem::path& path, const NamedTensors& tensors) {
  using Place = std::tuple<const Storage*, std::size_t, std::int64_t, Dtype>;
  std::map<Place, std::size_t> keys;
  std::vector<const Tensor*> storages;
  PickleWriter pickle;
  pickle.op('\x80');
  pickle.op('\2');
  pickle.ordered_dict();
  pickle.op('(');
  for (const auto& [name, tensor] : tensors) {
    if (!is_utf8(name) || name.size() > UINT32_MAX)
      throw ValueError(cat("[write_torch] names must be UTF-8; got ", quote(name)));
    const Place place{tensor.storage().get(), tensor.storage_offset(), tensor.numel(), tensor.dtype()};
    const auto [known, is_new] = keys.try_emplace(place, storages.size());
    if (is_new) storages.push_back(&tensor);
    pickle.text(name);
    write_tensor(pickle, tensor, known->second);
  }
  pickle.op('u');
  pickle.op('.');

  AtomicFile file(path, "write_torch");
  ZipWriter zip(file);
  zip.add(cat(kRoot, "data.pkl"), pickle.bytes());
  zip.add(cat(kRoot, "byteorder"), "little");
  for (std::size_t i = 0; i < storages.size(); ++i)
    zip.add(cat(kRoot, "data/", i), std::span(storages[i]->bytes(), storages[i]->nbytes()));
  zip.add(cat(kRoot, "version"), "3\n");
  zip.finish();
  file.commit();
}

}  // namespace coppice
