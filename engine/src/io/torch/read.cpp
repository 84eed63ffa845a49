#include <algorithm>
#include <charconv>
#include <map>

#include "coppice/engine/checked.h"
#include "coppice/engine/io/mapped_file.h"
#include "coppice/engine/io/torch_file.h"
#include "io/magic.h"
#include "io/torch/file.h"
#include "io/torch/pickle.h"
#include "io/torch/tensors.h"
#include "io/zip/zip.h"

namespace coppice {
namespace {

constexpr std::uint64_t kNewestVersion = 10;  // of the container, as PyTorch's reader

std::string_view text_of(const ZipReader& zip, const ZipMember& member, MemoryBudget& budget,
                         std::shared_ptr<Storage>& keeper) {
  if (member.bytes > 64)
    zip.source().reject("member ", quote(member.name), " must have at most 64 bytes; it has ", member.bytes);
  keeper = zip.contents(member, budget);
  return {reinterpret_cast<const char*>(keeper->data()), keeper->bytes()};
}

void check_version(const ZipReader& zip, const std::string& root, MemoryBudget& budget) {
  const ZipMember* member = zip.find(root + "/version");
  if (member == nullptr) zip.source().reject("the archive must have a member ", quote(root + "/version"));
  std::shared_ptr<Storage> keeper;
  std::string_view text = text_of(zip, *member, budget, keeper);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  std::uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version == 0 || version > kNewestVersion)
    zip.source().reject("versions 1..", kNewestVersion, " of the container are read; got ", quote(text));
}

/// Whether values are big-endian. Before the member came, files had the order of their writer: little, in practice.
bool is_big_endian(const ZipReader& zip, const std::string& root, MemoryBudget& budget) {
  const ZipMember* member = zip.find(root + "/byteorder");
  if (member == nullptr) return false;
  std::shared_ptr<Storage> keeper;
  const std::string_view order = text_of(zip, *member, budget, keeper);
  if (order != "little" && order != "big") zip.source().reject("byteorder must be little or big; it is ", quote(order));
  return order == "big";
}

NamedTensors read_zip(const std::shared_ptr<MappedFile>& file, const Source& source, const ReadOptions& options,
                      const std::string& stem) {
  const ZipReader zip(file, source, options);
  MemoryBudget budget(source, options.limits, file->bytes().size());
  if (zip.members().empty()) source.reject("the archive is empty");
  const std::string& first = zip.members().front().name;
  const std::string root = first.substr(0, first.find('/'));
  const bool script =
      zip.find(root + "/constants.pkl") != nullptr ||
      std::ranges::any_of(zip.members(), [&](const ZipMember& m) { return m.name.starts_with(root + "/code/"); });
  if (script) source.reject("the file is a TorchScript archive, which holds code; save model.state_dict() instead");
  const ZipMember* pickle_member = zip.find(root + "/data.pkl");
  if (pickle_member == nullptr)
    source.reject("the archive must have a member ", quote(root + "/data.pkl"), ": it was not written by torch.save");
  check_version(zip, root, budget);
  const bool swap = is_big_endian(zip, root, budget);
  if (pickle_member->bytes > options.limits.header_bytes)
    source.exceeded("header_bytes", "bytes of the pickle", options.limits.header_bytes, pickle_member->bytes);

  const auto pickle_bytes = zip.contents(*pickle_member, budget);
  const Source place = pickle_member->deflated ? inside(source, *pickle_member) : source;
  ByteReader reader({pickle_bytes->data(), pickle_bytes->bytes()}, place,
                    pickle_member->deflated ? 0 : pickle_member->data_offset);
  PickleReader pickle(reader, options.limits);
  const PickleRef object = pickle.read();
  if (reader.remaining() != 0) reader.reject(reader.remaining(), " bytes follow the STOP of the pickle");
  TensorCollector collector(pickle, source, options.limits, budget, swap, [&](const PickleStorage& storage) {
    const ZipMember* member = zip.find(cat(root, "/data/", storage.key));
    if (member == nullptr) source.reject("there is no member for storage ", quote(storage.key));
    return zip.contents(*member, budget);
  });
  return collector.collect(object, stem);
}

/// Entry of a dict by its text key, or nullptr.
const PickleValue* entry(const PickleReader& pickle, PickleRef dict, std::string_view name) {
  if (pickle.value(dict).kind != PickleKind::dict) return nullptr;
  for (const auto& [key, value] : pickle.pairs(pickle.value(dict)))
    if (pickle.value(key).kind == PickleKind::text && pickle.value(key).text == name) return &pickle.value(value);
  return nullptr;
}

/// Five pickles one after the other (magic number, protocol, system, object, keys of the storages), then for each key
/// the number of elements and the values. Source: torch/serialization.py, _legacy_save.
NamedTensors read_legacy(const std::shared_ptr<MappedFile>& file, const Source& source, const ReadOptions& options,
                         const std::string& stem) {
  ByteReader reader(file->bytes(), source);
  MemoryBudget budget(source, options.limits, file->bytes().size());
  PickleReader pickle(reader, options.limits);
  (void)pickle.read();  // the magic number, recognised by the caller
  const PickleValue& protocol = pickle.value(pickle.read());
  if (protocol.kind != PickleKind::integer || protocol.integer != 1001)
    reader.reject("protocol 1001 of the legacy format is read; got ",
                  protocol.kind == PickleKind::integer ? cat(protocol.integer) : word_of(protocol.kind));
  const PickleValue* little = entry(pickle, pickle.read(), "little_endian");
  if (little == nullptr || little->kind != PickleKind::boolean)
    reader.reject("the system information must say little_endian");
  const bool swap = little->integer == 0;
  const PickleRef object = pickle.read();
  const PickleValue& keys = pickle.value(pickle.read());
  if (keys.kind != PickleKind::list) reader.reject("the keys of the storages must be a list; got ", word_of(keys.kind));

  std::map<std::string_view, const PickleStorage*> wanted;
  for (const PickleStorage& storage : pickle.storages()) wanted.emplace(storage.key, &storage);
  std::map<std::string_view, std::shared_ptr<Storage>> found;
  for (const PickleRef ref : pickle.items(keys)) {
    const PickleValue& key = pickle.value(ref);
    if (key.kind != PickleKind::text) reader.reject("a key of the storages must be a text; it is ", word_of(key.kind));
    const auto known = wanted.find(key.text);
    if (known == wanted.end() || found.contains(key.text))
      reader.reject("key ", quote(key.text), " names no storage of the object, or one again");
    const PickleStorage& storage = *known->second;
    if (!storage.dtype) throw NotSupported(cat(source.prefix(), "storages of ", storage.class_name, " are not read"));
    const std::uint64_t numel = reader.u64("number of elements");
    if (numel != storage.numel)
      reader.reject("storage ", quote(key.text), " must have ", storage.numel, " elements; it has ", numel);
    const auto bytes = checked_mul(numel, itemsize(*storage.dtype));
    if (!bytes) reader.reject("storage ", quote(key.text), " of ", numel, " elements overflows");
    const std::uint64_t at = reader.position();
    reader.skip(*bytes, "storage");
    found.emplace(key.text, storage_in(file, file->bytes().subspan(at, *bytes)));
  }
  if (reader.remaining() != 0) reader.reject(reader.remaining(), " bytes follow the last storage");
  TensorCollector collector(pickle, source, options.limits, budget, swap, [&](const PickleStorage& storage) {
    const auto place = found.find(storage.key);
    if (place == found.end()) source.reject("there is no data for storage ", quote(storage.key));
    return place->second;
  });
  return collector.collect(object, stem);
}

}  // namespace

NamedTensors read_torch(const std::filesystem::path& path, const ReadOptions& options) {
  const Source source{"read_torch", path.string()};
  return torch_in(MappedFile::open(path, source, options), source, options, path.stem().string());
}

NamedTensors torch_in(const std::shared_ptr<MappedFile>& file, const Source& source, const ReadOptions& options,
                      const std::string& stem) {
  switch (file_kind(file->bytes())) {
    case FileKind::zip: return read_zip(file, source, options, stem);
    case FileKind::torch_legacy: return read_legacy(file, source, options, stem);
    case FileKind::pickle:
      source.reject("the file is a plain pickle, which may hold code; save model.state_dict() with torch.save");
    default: source.reject("the file was not written by torch.save: it is ", describe(file_kind(file->bytes())));
  }
}

}  // namespace coppice
