#include "io/torch/pickle.h"

namespace coppice {
namespace {

using G = PickleGlobal;

}  // namespace

std::uint64_t PickleReader::count(PickleRef ref, const char* what) const {
  const PickleValue& v = value(ref);
  if (v.kind == PickleKind::number) reject(what, " must be an integer of at most 64 bits; it is a float or longer");
  if (v.kind != PickleKind::integer) reject(what, " must be an integer of at most 64 bits; it is ", word_of(v.kind));
  if (v.integer < 0) reject(what, " must be at least 0; got ", v.integer);
  return static_cast<std::uint64_t>(v.integer);
}

std::vector<std::int64_t> PickleReader::counts(PickleRef ref, const char* what) const {
  const PickleValue& v = value(ref);
  if (v.kind != PickleKind::tuple) reject(what, " must be a tuple; it is ", word_of(v.kind));
  if (items(v).size() > limits_.rank)
    reader_->source().exceeded("rank", "axes of a tensor", limits_.rank, items(v).size());
  std::vector<std::int64_t> out;
  out.reserve(items(v).size());
  for (const PickleRef item : items(v)) out.push_back(static_cast<std::int64_t>(count(item, what)));
  return out;
}

/// None in files of before hooks were dicts.
void PickleReader::need_empty_hooks(PickleRef ref) const {
  const PickleValue& hooks = value(ref);
  if (hooks.kind == PickleKind::none) return;
  if (hooks.kind != PickleKind::dict)
    reject("the hooks of a tensor must be an empty OrderedDict; they are ", word_of(hooks.kind));
  if (!pairs(hooks).empty())
    reject("the hooks of a tensor must be an empty OrderedDict; it holds ", pairs(hooks).size());
}

/// (storage, offset, sizes, strides [, requires_grad, hooks [, dtype in v3] [, metadata]])
PickleValue PickleReader::make_tensor(PickleGlobal function, const std::vector<PickleRef>& args) {
  const PickleValue& held = value(args[0]);
  if (held.kind != PickleKind::storage) reject("a tensor needs a storage; got ", word_of(held.kind));
  const PickleStorage& storage = storages_[held.index];
  PickleTensor tensor;
  tensor.storage = held.index;
  tensor.offset = count(args[1], "the offset of a tensor");
  tensor.sizes = counts(args[2], "the sizes of a tensor");
  tensor.strides = counts(args[3], "the strides of a tensor");
  if (tensor.sizes.size() != tensor.strides.size())
    reject("a tensor needs as many strides as sizes; got ", tensor.strides.size(), " and ", tensor.sizes.size());
  charge(1 + tensor.sizes.size() + tensor.strides.size());  // one tuple may be made into any number of tensors
  if (args.size() > 4 && value(args[4]).kind != PickleKind::boolean)
    reject("requires_grad must be a boolean; it is ", word_of(value(args[4]).kind));
  if (args.size() > 5) need_empty_hooks(args[5]);
  // A complex view of real numbers does not exist, so that `conj` changes nothing that is read here.
  if (const std::size_t last = function == G::rebuild_tensor_v3 ? 7 : 6; args.size() > last)
    tensor.negated = has_bit(args[last], "neg");

  std::optional<Dtype> dtype = storage.dtype;
  std::string_view type_name = storage.class_name;
  if (function == G::rebuild_tensor_v3) {
    const PickleValue& wanted = value(args[6]);
    if (wanted.kind != PickleKind::global || wanted.global != G::dtype)
      reject("the element type must be a torch dtype");
    if (!storage.untyped)
      reject("a tensor with its own element type needs an UntypedStorage; got ", storage.class_name);
    dtype = wanted.dtype;
    type_name = wanted.text;
  } else if (storage.untyped) {
    reject("an UntypedStorage needs a tensor that names its element type");
  }
  if (!dtype) return PickleValue{.kind = PickleKind::unsupported, .text = type_name};
  if (tensor.negated && *dtype == Dtype::boolean) reject("a tensor of bool has no negative");
  tensor.dtype = *dtype;
  tensors_.push_back(std::move(tensor));
  return PickleValue{.kind = PickleKind::tensor, .index = static_cast<std::uint32_t>(tensors_.size() - 1)};
}

/// (tensor, requires_grad [, hooks [, attributes]])
PickleValue PickleReader::make_parameter(PickleGlobal function, const std::vector<PickleRef>& args) {
  const PickleValue& data = value(args[0]);
  if (data.kind != PickleKind::tensor && data.kind != PickleKind::unsupported && data.kind != PickleKind::object)
    reject("a parameter must hold a tensor; it holds ", word_of(data.kind));
  if (args.size() > 2) need_empty_hooks(args[2]);
  return function == G::rebuild_parameter_with_state && args.size() > 3 ? with_attributes(data, args[3]) : data;
}

/// (what rebuilds it, its class, the arguments of the former, attributes): a tensor of any class is a tensor.
PickleValue PickleReader::make_of_type(const std::vector<PickleRef>& args) {
  const PickleValue& rebuild = value(args[0]);
  const PickleValue& with = value(args[2]);
  if (with.kind != PickleKind::tuple) reject("a tensor is rebuilt from a tuple; got ", word_of(with.kind));
  // One that names itself would nest as deep as the file is long.
  if (rebuild.kind == PickleKind::global && rebuild.global == G::rebuild_from_type)
    reject("a tensor of a class must be rebuilt by another function than that of its class");
  const bool known = rebuild.kind == PickleKind::global && rebuild.global != G::unknown;
  if (known) return with_attributes(call(args[0], items(with)), args[3]);
  if (strict_) reject("a tensor of a class must be rebuilt by a function of torch; got ", word_of(rebuild.kind));
  PickleValue object = make_object(value(args[1]).kind == PickleKind::global ? args[1] : args[0], items(with));
  give_state(object, args[3]);
  return object;
}

/// (tensor in memory, dtype, device, requires_grad)
PickleValue PickleReader::make_of_other_device(const std::vector<PickleRef>& args) {
  const PickleValue &data = value(args[0]), &wanted = value(args[1]);
  const bool same = data.kind == PickleKind::tensor && wanted.kind == PickleKind::global &&
                    wanted.dtype == tensors_[data.index].dtype;
  return same ? data : PickleValue{.kind = PickleKind::unsupported, .text = "a tensor of another device and type"};
}

/// Keeps what a program had put on a tensor, unless that is nothing.
PickleValue PickleReader::with_attributes(PickleValue made, PickleRef state) {
  const PickleValue& given = value(state);
  const bool empty = given.kind == PickleKind::none || (given.kind == PickleKind::dict && pairs(given).empty());
  if (made.kind != PickleKind::tensor || empty) return made;
  PickleTensor tensor = tensors_[made.index];  // a tensor of its own: the other one has no attributes
  charge(1 + tensor.sizes.size() + tensor.strides.size());
  tensor.attributes = state;
  tensors_.push_back(std::move(tensor));
  made.index = static_cast<std::uint32_t>(tensors_.size() - 1);
  return made;
}

/// Whether the dict of a tensor's metadata says so.
bool PickleReader::has_bit(PickleRef metadata, std::string_view name) {
  const PickleValue& dict = value(metadata);
  if (dict.kind == PickleKind::none) return false;
  if (dict.kind != PickleKind::dict) reject("the metadata of a tensor must be a dict; it is ", word_of(dict.kind));
  charge(pairs(dict).size());  // one dict may be the metadata of any number of tensors
  bool found = false;
  for (const auto& [key, bit] : pairs(dict)) {
    if (value(key).kind != PickleKind::text || value(key).text != name) continue;
    if (value(bit).kind != PickleKind::boolean)
      reject("metadata ", quote(name), " of a tensor must be a boolean; it is ", word_of(value(bit).kind));
    found = value(bit).integer != 0;
  }
  return found;
}

/// ('storage', class, key, location, numel), in the legacy format with a sixth element, None; and there, for the class
/// of a module, ('module', class, file of its source, source).
void PickleReader::persistent_id() {
  const PickleValue& id = value(pop());
  if (const auto known = known_id(id)) return push(*known);
  if (id.kind == PickleKind::tuple && items(id).size() == 4 && value(items(id)[0]).kind == PickleKind::text &&
      value(items(id)[0]).text == "module" && value(items(id)[1]).kind == PickleKind::global)
    return push(items(id)[1]);
  if (id.kind != PickleKind::tuple || items(id).size() < 5 || items(id).size() > 6)
    reject("a persistent id must be a tuple of five: 'storage', class, key, location, number of elements; it is ",
           id.kind == PickleKind::tuple ? cat("one of ", items(id).size()) : word_of(id.kind));
  storage_of(items(id));
}

/// The storage or tensor of a number, or the class of (class, file of its source, source), where numbers are names.
std::optional<PickleRef> PickleReader::known_id(const PickleValue& id) const {
  if (by_id_.empty()) return std::nullopt;
  if (id.kind == PickleKind::tuple && items(id).size() == 3 && value(items(id)[0]).kind == PickleKind::global)
    return items(id)[0];
  const auto found = id.kind == PickleKind::integer ? by_id_.find(id.integer) : by_id_.end();
  if (found == by_id_.end()) reject("a persistent id must name a storage or a tensor; it is ", word_of(id.kind));
  return found->second;
}

void PickleReader::name_storage(std::int64_t id, PickleStorage storage) {
  charge(1);
  storages_.push_back(storage);
  by_id_[id] = make({.kind = PickleKind::storage, .index = static_cast<std::uint32_t>(storages_.size() - 1)});
}

void PickleReader::name_tensor(std::int64_t id, PickleTensor tensor) {
  charge(1 + tensor.sizes.size() + tensor.strides.size());
  tensors_.push_back(std::move(tensor));
  by_id_[id] = make({.kind = PickleKind::tensor, .index = static_cast<std::uint32_t>(tensors_.size() - 1)});
}

void PickleReader::storage_of(const std::vector<PickleRef>& parts) {
  const PickleValue &tag = value(parts[0]), &type = value(parts[1]), &key = value(parts[2]),
                    &location = value(parts[3]);
  if (tag.kind != PickleKind::text || tag.text != "storage")
    reject("persistent ids name storages; this one is tagged ",
           tag.kind == PickleKind::text ? quote(tag.text) : word_of(tag.kind));
  const bool is_class =
      type.kind == PickleKind::global &&
      (type.global == G::storage_class || type.global == G::untyped_storage || type.global == G::unknown);
  if (!is_class)
    reject("a persistent id needs a storage class; got ",
           type.kind == PickleKind::global ? quote(type.text) : word_of(type.kind));
  if (key.kind != PickleKind::text || location.kind != PickleKind::text)
    reject("key and location of a storage must be texts");
  if (key.text.empty() || key.text.size() > 32 || key.text.find_first_not_of("0123456789") != key.text.npos)
    reject("the key of a storage must be a number; got ", quote(key.text));
  if (parts.size() == 6 && value(parts[5]).kind != PickleKind::none) reject("views of storages are not read");
  PickleStorage storage{.key = key.text,
                        .dtype = type.dtype,
                        .untyped = type.global == G::untyped_storage,
                        .width = type.width,
                        .class_name = type.text,
                        .numel = count(parts[4], "the number of elements")};
  push(PickleValue{.kind = PickleKind::storage, .index = index_of(storage)});
}

/// One storage has one class. Beside it, it may be untyped: as bytes, and as a type of tensors that have no class of
/// storages, such as float8.
std::uint32_t PickleReader::index_of(const PickleStorage& storage) {
  const auto differs = [&](const PickleStorage& known) {
    reject("storage ", quote(storage.key), " is ", known.numel, " elements of ", known.class_name, " and again ",
           storage.numel, " of ", storage.class_name);
  };
  const auto [place, is_new] =
      storage_by_key_.try_emplace({storage.key, storage.untyped}, static_cast<std::uint32_t>(storages_.size()));
  if (!is_new) {
    const PickleStorage& known = storages_[place->second];
    if (known.class_name != storage.class_name || known.numel != storage.numel) differs(known);
    return place->second;
  }
  if (const auto other = storage_by_key_.find({storage.key, !storage.untyped}); other != storage_by_key_.end()) {
    const PickleStorage& known = storages_[other->second];
    const PickleStorage &bytes = storage.untyped ? storage : known, &typed = storage.untyped ? known : storage;
    if (typed.width == 0 || checked_mul(typed.numel, typed.width) != bytes.numel) differs(known);
  }
  storages_.push_back(storage);
  return place->second;
}

}  // namespace coppice
