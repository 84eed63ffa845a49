#include <map>

#include "coppice/engine/checked.h"
#include "io/torch/collect.h"
#include "io/torch/containers.h"

namespace coppice {
namespace {

/// Entry of a dict by its text key, or nullptr.
const PickleValue* entry(const PickleReader& pickle, PickleRef dict, std::string_view name) {
  if (pickle.value(dict).kind != PickleKind::dict) return nullptr;
  for (const auto& [key, value] : pickle.pairs(pickle.value(dict)))
    if (pickle.value(key).kind == PickleKind::text && pickle.value(key).text == name) return &pickle.value(value);
  return nullptr;
}

}  // namespace

/// Five pickles one after the other (magic number, protocol, system, object, keys of the storages), then for each key
/// the number of elements and the values. Source: torch/serialization.py, _legacy_save.
NamedTensors read_torch_legacy(const std::shared_ptr<MappedFile>& file, const Source& source,
                               const ReadOptions& options, const std::string& stem) {
  ByteReader reader(file->bytes(), source);
  MemoryBudget budget(source, options.limits, file->bytes().size());
  PickleReader pickle(reader, options.limits, options.strict);
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
    if (storage.width == 0 || (options.strict && !storage.dtype))
      throw NotSupported(cat(source.prefix(), "storages of ", storage.class_name, " are not read"));
    const std::uint64_t numel = reader.u64("number of elements");
    if (numel != storage.numel)
      reader.reject("storage ", quote(key.text), " must have ", storage.numel, " elements; it has ", numel);
    const auto bytes = checked_mul(numel, storage.width);
    if (!bytes) reader.reject("storage ", quote(key.text), " of ", numel, " elements overflows");
    const std::uint64_t at = reader.position();
    reader.skip(*bytes, "storage");
    found.emplace(key.text, storage_in(file, file->bytes().subspan(at, *bytes)));
  }
  if (reader.remaining() != 0) reader.reject(reader.remaining(), " bytes follow the last storage");
  TensorMaker maker(pickle, source, budget, swap, [&](const PickleStorage& storage) {
    const auto place = found.find(storage.key);
    if (place == found.end()) source.reject("there is no data for storage ", quote(storage.key));
    return place->second;
  });
  return TensorCollector(pickle, source, options, budget, maker).collect(object, stem);
}

}  // namespace coppice
