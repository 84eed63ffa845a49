#include <charconv>
#include <deque>
#include <map>

#include "coppice/engine/checked.h"
#include "io/magic.h"
#include "io/torch/collect.h"
#include "io/torch/containers.h"

namespace coppice {
namespace {

constexpr std::size_t kBlock = 512;

using Bytes = std::span<const std::byte>;

/// A field of a header, up to its first NUL or space.
std::string_view field(Bytes header, std::size_t at, std::size_t width) {
  const std::string_view text(reinterpret_cast<const char*>(header.data()) + at, width);
  return text.substr(0, text.find_first_of(std::string_view("\0 ", 2)));
}

/// The plain files of the archive by name.
std::map<std::string_view, Bytes> tar_members(Bytes bytes, const Source& source) {
  std::map<std::string_view, Bytes> out;
  ByteReader reader(bytes, source);
  while (reader.remaining() >= kBlock) {
    const std::uint64_t at = reader.position();
    const Bytes header = reader.bytes(kBlock, "header of a member");
    if (header[0] == std::byte{0}) break;  // the end is a block of zeros
    const std::string_view digits = field(header, 124, 12);
    std::uint64_t size = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size, 8);
    if (error != std::errc() || end != digits.data() + digits.size())
      source.reject_at(at, "the size of a member must be an octal number; it is ", quote(digits));
    std::string_view name = field(header, 0, 100);
    if (name.starts_with("./")) name.remove_prefix(2);
    const Bytes data = reader.bytes(size, "member of the archive");
    const char type = static_cast<char>(header[156]);
    if ((type == '0' || type == '\0') && !out.emplace(name, data).second)
      source.reject_at(at, "member ", quote(name), " stands twice");
    reader.skip(std::min<std::uint64_t>(reader.remaining(), (kBlock - size % kBlock) % kBlock), "padding");
  }
  return out;
}

/// One archive: storages, tensors over them, and the pickle that names both by numbers.
/// Source: torch/serialization.py, legacy_load.
class TarCheckpoint {
 public:
  TarCheckpoint(const std::shared_ptr<MappedFile>& file, const Source& source, const ReadOptions& options)
      : file_(file),
        source_(source),
        options_(options),
        members_(tar_members(file->bytes(), source)),
        reader_(Bytes(), source),
        pickle_(reader_, options.limits, options.strict) {
    for (const char* name : {"storages", "tensors", "pickle"})
      if (!members_.contains(name))
        source.reject("the file is ", describe(FileKind::tar),
                      ", and not one of PyTorch before 0.1.10: it has no member '", name, "'");
  }

  NamedTensors read(const std::string& stem) {
    const bool swap = is_big_endian();
    read_storages();
    read_tensors();
    enter("pickle");
    const PickleRef object = pickle_.read();
    MemoryBudget budget(source_, options_.limits, file_->bytes().size());
    TensorMaker maker(pickle_, source_, budget, swap, [&](const PickleStorage& storage) {
      const auto& [at, size] = data_.at(storage.key);
      return storage_in(file_, file_->bytes().subspan(at, size));
    });
    return TensorCollector(pickle_, source_, options_, budget, maker).collect(object, stem);
  }

 private:
  /// A storage, or a part of one.
  struct Place {
    std::uint32_t storage = 0;
    std::uint64_t offset = 0, numel = 0;  // in elements
  };

  void enter(std::string_view name) {
    const Bytes bytes = members_.at(name);
    reader_ = ByteReader(bytes, source_, static_cast<std::uint64_t>(bytes.data() - file_->bytes().data()));
  }

  bool is_big_endian() {
    if (!members_.contains("sys_info")) return false;
    enter("sys_info");
    const PickleValue& info = pickle_.value(pickle_.read());
    if (info.kind != PickleKind::dict) return false;
    for (const auto& [key, value] : pickle_.pairs(info))
      if (pickle_.value(key).kind == PickleKind::text && pickle_.value(key).text == "little_endian")
        return pickle_.value(value).kind == PickleKind::boolean && pickle_.value(value).integer == 0;
    return false;
  }

  std::uint64_t number(PickleRef ref, const char* what) {
    const PickleValue& v = pickle_.value(ref);
    if (v.kind != PickleKind::integer || v.integer < 0)
      reader_.reject(what, " must be a whole number of at least 0; it is ",
                     v.kind == PickleKind::integer ? cat(v.integer) : word_of(v.kind));
    return static_cast<std::uint64_t>(v.integer);
  }

  std::vector<PickleRef> tuple(PickleRef ref, std::size_t size, const char* what) {
    const PickleValue& v = pickle_.value(ref);
    const bool sequence = v.kind == PickleKind::tuple || v.kind == PickleKind::list;
    if (!sequence || pickle_.items(v).size() != size)
      reader_.reject(what, " must be a tuple of ", size, "; it is ", word_of(v.kind));
    return pickle_.items(v);
  }

  const Place& place(PickleRef id) {
    const auto found = places_.find(static_cast<std::int64_t>(number(id, "the number of a storage")));
    if (found == places_.end()) reader_.reject("storage ", number(id, "the number of a storage"), " is not there");
    return found->second;
  }

  void read_storages() {
    enter("storages");
    for (std::uint64_t left = number(pickle_.read(), "the number of storages"); left > 0; --left) {
      const auto parts = tuple(pickle_.read(), 3, "what names a storage");  // number, location, class
      const auto id = static_cast<std::int64_t>(number(parts[0], "the number of a storage"));
      const PickleValue& type = pickle_.value(parts[2]);
      if (type.kind != PickleKind::global || type.global != PickleGlobal::storage_class || type.width == 0)
        reader_.reject("a storage needs a class of torch; it is ", pickle_.describe(parts[2]));
      const std::uint64_t numel = reader_.u64("number of elements");
      const auto bytes = checked_mul(numel, type.width);
      if (!bytes) reader_.reject("storage ", id, " of ", numel, " elements overflows");
      if (places_.contains(id)) reader_.reject("storage ", id, " stands twice");
      keys_.push_back(cat(id));
      data_.emplace(keys_.back(), std::pair(reader_.position(), *bytes));
      reader_.skip(*bytes, "storage");
      places_[id] = {static_cast<std::uint32_t>(pickle_.storages().size()), 0, numel};
      pickle_.name_storage(
          id, {.key = keys_.back(), .dtype = type.dtype, .width = type.width, .class_name = type.text, .numel = numel});
    }
    const PickleValue& views = pickle_.value(pickle_.read());
    if (views.kind != PickleKind::list && views.kind != PickleKind::tuple)
      reader_.reject("the views of storages must be a list; it is ", word_of(views.kind));
    for (const PickleRef view : pickle_.items(views)) {
      const auto parts = tuple(view, 4, "a view of a storage");  // its number, that of the whole, offset, elements
      const Place whole = place(parts[1]);
      const Place part{whole.storage, number(parts[2], "the offset of a view"), number(parts[3], "the size of a view")};
      if (part.offset > whole.numel || part.numel > whole.numel - part.offset)
        reader_.reject("a view of ", part.numel, " elements at ", part.offset, " reaches beyond its storage of ",
                       whole.numel);
      places_[static_cast<std::int64_t>(number(parts[0], "the number of a view"))] = {
          whole.storage, whole.offset + part.offset, part.numel};
    }
  }

  void read_tensors() {
    enter("tensors");
    for (std::uint64_t left = number(pickle_.read(), "the number of tensors"); left > 0; --left) {
      const auto parts = tuple(pickle_.read(), 3, "what names a tensor");  // number, that of its storage, class
      const Place& held = place(parts[1]);
      const std::uint64_t rank = reader_.u32("number of axes");
      reader_.skip(4, "number of axes");
      if (rank > options_.limits.rank) source_.exceeded("rank", "axes of a tensor", options_.limits.rank, rank);
      PickleTensor tensor;
      tensor.storage = held.storage;
      for (std::uint64_t i = 0; i < rank; ++i) tensor.sizes.push_back(axis("a size of a tensor"));
      for (std::uint64_t i = 0; i < rank; ++i) tensor.strides.push_back(axis("a stride of a tensor"));
      tensor.offset = static_cast<std::uint64_t>(axis("the offset of a tensor"));
      if (tensor.offset > held.numel)
        reader_.reject("a tensor at ", tensor.offset, " begins beyond its storage of ", held.numel, " elements");
      tensor.offset += held.offset;
      const PickleStorage& storage = pickle_.storages()[held.storage];
      const auto id = static_cast<std::int64_t>(number(parts[0], "the number of a tensor"));
      if (!storage.dtype)
        throw NotSupported(cat(source_.prefix(), "storages of ", storage.class_name, " are not read"));
      tensor.dtype = *storage.dtype;
      pickle_.name_tensor(id, std::move(tensor));
    }
  }

  std::int64_t axis(const char* what) {
    const std::uint64_t value = reader_.u64(what);
    if (value > INT64_MAX) reader_.reject(what, " must be at least 0; got ", static_cast<std::int64_t>(value));
    return static_cast<std::int64_t>(value);
  }

  const std::shared_ptr<MappedFile>& file_;
  const Source& source_;
  const ReadOptions& options_;
  std::map<std::string_view, Bytes> members_;
  ByteReader reader_;
  PickleReader pickle_;
  std::deque<std::string> keys_;
  std::map<std::string_view, std::pair<std::uint64_t, std::uint64_t>> data_;  // place and size by key
  std::map<std::int64_t, Place> places_;                                      // by number
};

}  // namespace

NamedTensors read_torch_tar(const std::shared_ptr<MappedFile>& file, const Source& source, const ReadOptions& options,
                            const std::string& stem) {
  return TarCheckpoint(file, source, options).read(stem);
}

}  // namespace coppice
