#include "io/torch/tensors.h"

#include <algorithm>
#include <cstring>

#include "coppice/engine/checked.h"
#include "io/file/place.h"

namespace coppice {
namespace {

// Containers may be shared, so that several paths lead to a tensor; this many for each value are no state dict.
constexpr std::uint64_t kMostPaths = 100;
// The walk below is recursive: beyond this the stack would be what limits it.
constexpr std::uint64_t kDeepest = 1000;

bool is_row_major(const PickleTensor& t, std::int64_t numel) {
  if (numel == 0) return true;
  std::int64_t expected = 1;
  for (std::size_t axis = t.sizes.size(); axis-- > 0;) {
    if (t.sizes[axis] != 1 && t.strides[axis] != expected) return false;
    expected *= t.sizes[axis];
  }
  return true;
}

/// Elements of the storage that the view reaches: index of the last one plus 1; nothing on overflow.
std::optional<std::uint64_t> reach(const PickleTensor& t) {
  std::optional<std::uint64_t> last = t.offset;
  for (std::size_t axis = 0; axis < t.sizes.size() && last; ++axis) {
    const auto way =
        checked_mul(static_cast<std::uint64_t>(t.sizes[axis]) - 1, static_cast<std::uint64_t>(t.strides[axis]));
    last = way ? checked_add(*last, *way) : std::nullopt;
  }
  return last ? checked_add(*last, 1) : std::nullopt;
}

}  // namespace

TensorCollector::TensorCollector(const PickleReader& pickle, const Source& source, const Limits& limits,
                                 MemoryBudget& budget, bool swap, Fetch fetch)
    : pickle_(pickle),
      source_(source),
      limits_(limits),
      budget_(budget),
      swap_(swap),
      fetch_(std::move(fetch)),
      tensors_(pickle.tensors().size()),
      storages_(pickle.storages().size()),
      storage_types_(storages_.size()) {}

NamedTensors TensorCollector::collect(PickleRef root, const std::string& stem) {
  const PickleKind kind = pickle_.value(root).kind;
  if (kind == PickleKind::tensor || kind == PickleKind::unsupported) {
    add(pickle_.value(root), stem);
  } else if (kind == PickleKind::dict || kind == PickleKind::list || kind == PickleKind::tuple) {
    (void)walk(root, "");
  } else {
    source_.reject("the file must hold tensors; it holds ", word_of(kind));
  }
  return std::move(out_);
}

/// Adds what is below `ref`; the number of tensors. The depth is limited, so recursion is safe.
std::size_t TensorCollector::walk(PickleRef ref, const std::string& path) {
  if (++visited_ > limits_.objects)
    source_.exceeded("objects", "values named by the pickle", limits_.objects, visited_);
  if (visited_ > kMostPaths * (pickle_.size() + 100))
    source_.reject("the pickle has ", pickle_.size(), " values, and more than ", visited_ - 1,
                   " paths lead to them (near ", quote(path), ")");
  const PickleValue& value = pickle_.value(ref);
  if (value.kind == PickleKind::tensor || value.kind == PickleKind::unsupported) {
    add(value, path);
    return 1;
  }
  const bool sequence = value.kind == PickleKind::list || value.kind == PickleKind::tuple;
  const std::size_t skipped_before = out_.skipped().size();
  std::size_t found = 0;
  if ((sequence || value.kind == PickleKind::dict) && !barren_.contains(ref)) {
    if (std::ranges::find(open_, ref) != open_.end()) source_.reject(quote(path), " contains itself");
    if (open_.size() == limits_.nesting)
      source_.exceeded("nesting", "depth of containers", limits_.nesting, open_.size() + 1);
    if (open_.size() == kDeepest)
      throw LimitError(cat(source_.prefix(), "depth of containers must be at most ", kDeepest,
                           ", whatever Limits::nesting says; got ", open_.size() + 1));
    open_.push_back(ref);
    if (sequence) {
      const auto& items = pickle_.items(value);
      for (std::size_t i = 0; i < items.size(); ++i) found += walk(items[i], child(path, cat(i)));
    } else {
      found = walk_dict(value, path);
    }
    open_.pop_back();
    if (found == 0) barren_.insert(ref);
  }
  if (found == 0 && !path.empty()) {  // one line for all that is below
    out_.skipped().resize(skipped_before);
    charge_name(path);
    out_.skipped().push_back(path);
  }
  return found;
}

std::size_t TensorCollector::walk_dict(const PickleValue& dict, const std::string& path) {
  std::size_t found = 0;
  for (const auto& [key, item] : pickle_.pairs(dict)) found += walk(item, child_of_dict(path, key));
  return found;
}

std::string TensorCollector::child(const std::string& path, std::string_view key) const {
  const std::size_t length = path.size() + 1 + key.size();
  if (length > limits_.name_bytes) source_.exceeded("name_bytes", "bytes of a name", limits_.name_bytes, length);
  return open_.size() == 1 ? std::string(key) : cat(path, ".", key);
}

std::string TensorCollector::child_of_dict(const std::string& path, PickleRef key) const {
  const PickleValue& value = pickle_.value(key);
  if (value.kind == PickleKind::integer) return child(path, cat(value.integer));
  if (value.kind != PickleKind::text)
    source_.reject("a key ", path.empty() ? "at the top" : "below " + quote(path),
                   " must be a text or an integer; it is ", word_of(value.kind));
  if (value.text.find('\0') != value.text.npos) source_.reject("key ", quote(value.text), " contains NUL");
  return child(path, value.text);  // which refuses a long one before it is copied
}

void TensorCollector::add(const PickleValue& value, const std::string& path) {
  if (value.kind == PickleKind::unsupported)
    throw NotSupported(
        cat(source_.prefix(), "tensor ", quote(path), " is of a kind that this library does not have: ", value.text));
  if (out_.size() == limits_.tensors)
    source_.exceeded("tensors", "tensors in the file", limits_.tensors, out_.size() + 1);
  if (out_.contains(path)) source_.reject("two tensors have the path ", quote(path));
  charge_name(path);
  const Tensor made = tensor(value.index, path);
  budget_.show(made.nbytes(), quote(path));
  out_.add(path, made);
}

/// A long key above many short ones stands in all of their names.
void TensorCollector::charge_name(const std::string& path) {
  name_bytes_ += path.size();
  if (name_bytes_ > limits_.header_bytes)
    source_.exceeded("header_bytes", "bytes of all names", limits_.header_bytes, name_bytes_);
}

/// Bools are checked and odd addresses and foreign byte order mended once for a storage, however many tensors show it.
const std::shared_ptr<Storage>& TensorCollector::storage(const PickleTensor& spec, const std::string& path) {
  std::shared_ptr<Storage>& held = storages_[spec.storage];
  std::optional<Dtype>& held_type = storage_types_[spec.storage];
  if (held != nullptr) {
    if (held_type != spec.dtype)
      source_.reject("tensor ", quote(path), ": its storage is shown as ", *held_type, " and as ", spec.dtype);
    return held;
  }
  const PickleStorage& wanted = pickle_.storages()[spec.storage];
  const std::size_t width = itemsize(spec.dtype);
  auto bytes = fetch_(wanted);
  const auto expected = checked_mul(wanted.numel, wanted.untyped ? 1 : width);
  if (expected != bytes->bytes())
    source_.reject("tensor ", quote(path), ": storage ", quote(wanted.key), " must have ", wanted.numel,
                   wanted.untyped ? " bytes" : " elements of ", wanted.untyped ? "" : name_of(spec.dtype), "; it has ",
                   bytes->bytes(), " bytes");
  if (spec.dtype == Dtype::boolean) check_bools(source_, path, {bytes->data(), bytes->bytes()});
  const bool reversed = swap_ && width > 1;
  if (reversed || reinterpret_cast<std::uintptr_t>(bytes->data()) % width != 0) {
    budget_.take(bytes->bytes(), cat("storage ", quote(wanted.key)));
    auto copy = Storage::allocate(bytes->bytes());
    if (reversed)
      copy_swapped(copy->data(), bytes->data(), bytes->bytes() / width, width);
    else if (bytes->bytes() > 0)
      std::memcpy(copy->data(), bytes->data(), bytes->bytes());
    bytes = std::move(copy);
  }
  held = std::move(bytes);
  held_type = spec.dtype;
  return held;
}

Tensor TensorCollector::tensor(std::uint32_t index, const std::string& path) {
  Tensor& made = tensors_[index];
  if (made.defined()) return made;
  const PickleTensor& spec = pickle_.tensors()[index];
  const std::size_t width = itemsize(spec.dtype);
  const std::vector<std::uint64_t> sizes(spec.sizes.begin(), spec.sizes.end());
  const auto bytes = checked_volume(sizes, width);
  if (!bytes) source_.reject("tensor ", quote(path), ": the product of its sizes overflows: ", sizes_text(sizes));
  const Shape shape(spec.sizes);
  const std::shared_ptr<Storage>& from = storage(spec, path);
  const std::uint64_t held = from->bytes() / width;
  const auto needed = shape.numel() == 0 ? spec.offset : reach(spec);
  if (!needed || *needed > held)
    source_.reject("tensor ", quote(path), " of shape ", shape, " at offset ", spec.offset,
                   " reaches beyond its storage of ", held, " elements");
  if (is_row_major(spec, shape.numel())) {
    made = Tensor::over(from, static_cast<std::size_t>(spec.offset) * width, shape, spec.dtype);
  } else {
    budget_.take(*bytes, cat("tensor ", quote(path)));
    auto copy = Storage::allocate(static_cast<std::size_t>(*bytes));
    copy_strided(copy->data(), from->data() + spec.offset * width, spec.sizes, spec.strides, width);
    made = Tensor::over(std::move(copy), 0, shape, spec.dtype);
  }
  return made;
}

}  // namespace coppice
