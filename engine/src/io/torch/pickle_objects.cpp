#include <algorithm>
#include <array>

#include "io/torch/pickle.h"

namespace coppice {
namespace {

struct GlobalRow {
  std::string_view module;
  std::string_view name;
  PickleGlobal global;
  std::optional<Dtype> dtype;
};

using G = PickleGlobal;

// Everything a file may name. No row leads to code.
constexpr std::array kGlobals{
    GlobalRow{"collections", "OrderedDict", G::ordered_dict, {}},
    GlobalRow{"__builtin__", "set", G::set, {}},
    GlobalRow{"builtins", "set", G::set, {}},
    GlobalRow{"_codecs", "encode", G::encode, {}},
    GlobalRow{"torch", "Size", G::size, {}},
    GlobalRow{"torch", "device", G::device, {}},
    GlobalRow{"torch.serialization", "_get_layout", G::layout, {}},
    GlobalRow{"torch._utils", "_rebuild_tensor", G::rebuild_tensor, {}},
    GlobalRow{"torch._utils", "_rebuild_tensor_v2", G::rebuild_tensor_v2, {}},
    GlobalRow{"torch._utils", "_rebuild_tensor_v3", G::rebuild_tensor_v3, {}},
    GlobalRow{"torch._utils", "_rebuild_parameter", G::rebuild_parameter, {}},
    GlobalRow{"torch.nn.parameter", "Parameter", G::rebuild_parameter, {}},
    GlobalRow{"torch._utils", "_rebuild_parameter_with_state", G::rebuild_parameter_with_state, {}},
    GlobalRow{"torch._utils", "_rebuild_qtensor", G::rebuild_quantized, {}},
    GlobalRow{"torch._utils", "_rebuild_sparse_tensor", G::rebuild_sparse, {}},
    GlobalRow{"torch.storage", "UntypedStorage", G::untyped_storage, {}},
    GlobalRow{"torch", "UntypedStorage", G::untyped_storage, {}},
    GlobalRow{"torch", "FloatStorage", G::storage_class, Dtype::f32},
    GlobalRow{"torch", "DoubleStorage", G::storage_class, Dtype::f64},
    GlobalRow{"torch", "HalfStorage", G::storage_class, Dtype::f16},
    GlobalRow{"torch", "BFloat16Storage", G::storage_class, Dtype::bf16},
    GlobalRow{"torch", "CharStorage", G::storage_class, Dtype::i8},
    GlobalRow{"torch", "ByteStorage", G::storage_class, Dtype::u8},
    GlobalRow{"torch", "ShortStorage", G::storage_class, Dtype::i16},
    GlobalRow{"torch", "IntStorage", G::storage_class, Dtype::i32},
    GlobalRow{"torch", "LongStorage", G::storage_class, Dtype::i64},
    GlobalRow{"torch", "BoolStorage", G::storage_class, Dtype::boolean},
    GlobalRow{"torch", "ComplexFloatStorage", G::storage_class, {}},
    GlobalRow{"torch", "ComplexDoubleStorage", G::storage_class, {}},
    GlobalRow{"torch", "QInt8Storage", G::storage_class, {}},
    GlobalRow{"torch", "QUInt8Storage", G::storage_class, {}},
    GlobalRow{"torch", "QInt32Storage", G::storage_class, {}},
    GlobalRow{"torch", "QUInt4x2Storage", G::storage_class, {}},
    GlobalRow{"torch", "QUInt2x4Storage", G::storage_class, {}},
    GlobalRow{"torch", "per_tensor_affine", G::word, {}},
    GlobalRow{"torch", "per_tensor_symmetric", G::word, {}},
    GlobalRow{"torch", "per_channel_affine", G::word, {}},
    GlobalRow{"torch", "per_channel_symmetric", G::word, {}},
    GlobalRow{"torch", "per_channel_affine_float_qparams", G::word, {}},
};

/// Element types that PyTorch has and this library has not.
constexpr std::array<std::string_view, 16> kOtherDtypes{
    "uint16",        "uint32",      "uint64",          "complex32",       "complex64",      "complex128",
    "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2",
    "qint8",         "quint8",      "qint32",          "quint4x2"};

}  // namespace

void PickleReader::push_global() {
  const std::string_view module = line("module of a global"), name = line("name of a global");
  PickleValue out{.kind = PickleKind::global, .text = name};
  const auto row =
      std::ranges::find_if(kGlobals, [&](const GlobalRow& r) { return r.module == module && r.name == name; });
  if (row != kGlobals.end()) {
    out.global = row->global;
    out.dtype = row->dtype;
  } else if (module == "torch" && dtype_from_name(name)) {
    out.global = G::dtype;
    out.dtype = dtype_from_name(name);
  } else if (module == "torch" && std::ranges::find(kOtherDtypes, name) != kOtherDtypes.end()) {
    out.global = G::dtype;
  } else {
    reject("global ", quote(cat(module, ".", name)),
           " is not among those a state dict needs, and no code of a file is run; save model.state_dict()");
  }
  push(std::move(out));
}

void PickleReader::reduce() {
  const PickleValue& args = value(pop());
  const PickleValue& function = value(pop());
  if (args.kind != PickleKind::tuple) reject("REDUCE takes a tuple of arguments; got ", word_of(args.kind));
  if (function.kind != PickleKind::global) reject("REDUCE calls a known global; got ", word_of(function.kind));
  push(call(function, items(args)));
}

PickleValue PickleReader::call(const PickleValue& function, const std::vector<PickleRef>& args) {
  const auto need = [&](std::size_t least, std::size_t most) {
    if (args.size() < least || args.size() > most)
      reject(function.text, " takes ", least, "..", most, " arguments; got ", args.size());
  };
  const auto unsupported = [](std::string_view what) {
    return PickleValue{.kind = PickleKind::unsupported, .text = what};
  };
  switch (function.global) {
    case G::ordered_dict: return make_dict(args);
    case G::rebuild_tensor: need(4, 4); return make_tensor(function.global, args);
    case G::rebuild_tensor_v2: need(6, 7); return make_tensor(function.global, args);
    case G::rebuild_tensor_v3: need(7, 8); return make_tensor(function.global, args);
    case G::rebuild_parameter:
    case G::rebuild_parameter_with_state: {
      need(2, function.global == G::rebuild_parameter ? 3 : 4);
      const PickleValue& data = value(args[0]);
      if (data.kind != PickleKind::tensor && data.kind != PickleKind::unsupported)
        reject("a parameter must hold a tensor; it holds ", word_of(data.kind));
      if (args.size() > 2) need_empty_hooks(args[2]);
      return data;
    }
    case G::rebuild_quantized: return unsupported("a quantized tensor");
    case G::rebuild_sparse: return unsupported("a sparse tensor");
    case G::size: {
      need(1, 1);
      const PickleValue& sizes = value(args[0]);
      if (sizes.kind != PickleKind::tuple && sizes.kind != PickleKind::list)
        reject("torch.Size takes a sequence; got ", word_of(sizes.kind));
      return PickleValue{.kind = PickleKind::tuple, .index = sizes.index};
    }
    case G::set:
    case G::device:
    case G::layout: need(0, 2); return PickleValue{.kind = PickleKind::opaque};
    case G::encode:
      need(1, 2);
      if (value(args[0]).kind != PickleKind::text)
        reject("_codecs.encode takes a text; got ", word_of(value(args[0]).kind));
      return PickleValue{.kind = PickleKind::opaque};
    default: reject(quote(function.text), " cannot be called");
  }
}

/// OrderedDict(), or as Python 2 wrote it OrderedDict([[key, value], …]).
PickleValue PickleReader::make_dict(const std::vector<PickleRef>& args) {
  std::vector<std::pair<PickleRef, PickleRef>> pairs;
  if (args.size() > 1) reject("OrderedDict takes one argument at most; got ", args.size());
  if (args.size() == 1) {
    const PickleValue& list = value(args[0]);
    if (list.kind != PickleKind::list) reject("OrderedDict takes a list of pairs; got ", word_of(list.kind));
    charge(items(list).size());  // one list may be copied into any number of dicts
    for (const PickleRef ref : items(list)) {
      const PickleValue& pair = value(ref);
      const bool two = (pair.kind == PickleKind::list || pair.kind == PickleKind::tuple) && items(pair).size() == 2;
      if (!two) reject("OrderedDict takes pairs; got ", word_of(pair.kind));
      const PickleKind key = value(items(pair)[0]).kind;
      if (key > PickleKind::tuple) reject("a key must be a text or a number; it is ", word_of(key));
      pairs.emplace_back(items(pair)[0], items(pair)[1]);
    }
  }
  pairs_.push_back(std::move(pairs));
  return PickleValue{.kind = PickleKind::dict, .index = static_cast<std::uint32_t>(pairs_.size() - 1)};
}

/// The state of an OrderedDict is its `_metadata`, which no tensor needs.
void PickleReader::build() {
  const PickleKind state = value(pop()).kind, target = value(top()).kind;
  if (target != PickleKind::dict) reject("BUILD is for an OrderedDict; there is ", word_of(target));
  if (state != PickleKind::dict) reject("the state of an OrderedDict must be a dict; it is ", word_of(state));
}

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
    reader_.source().exceeded("rank", "axes of a tensor", limits_.rank, items(v).size());
  std::vector<std::int64_t> out;
  out.reserve(items(v).size());
  for (const PickleRef item : items(v)) out.push_back(static_cast<std::int64_t>(count(item, what)));
  return out;
}

void PickleReader::need_empty_hooks(PickleRef ref) const {
  const PickleValue& hooks = value(ref);
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
  tensor.dtype = *dtype;
  tensors_.push_back(std::move(tensor));
  return PickleValue{.kind = PickleKind::tensor, .index = static_cast<std::uint32_t>(tensors_.size() - 1)};
}

/// ('storage', class, key, location, numel), in the legacy format with a sixth element, None.
void PickleReader::persistent_id() {
  const PickleValue& id = value(pop());
  if (id.kind != PickleKind::tuple || items(id).size() < 5 || items(id).size() > 6)
    reject("a persistent id must be a tuple of five: 'storage', class, key, location, number of elements; it is ",
           id.kind == PickleKind::tuple ? cat("one of ", items(id).size()) : word_of(id.kind));
  const auto& parts = items(id);
  const PickleValue &tag = value(parts[0]), &type = value(parts[1]), &key = value(parts[2]),
                    &location = value(parts[3]);
  if (tag.kind != PickleKind::text || tag.text != "storage")
    reject("persistent ids name storages; this one is tagged ",
           tag.kind == PickleKind::text ? quote(tag.text) : word_of(tag.kind));
  const bool is_class =
      type.kind == PickleKind::global && (type.global == G::storage_class || type.global == G::untyped_storage);
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
                        .class_name = type.text,
                        .numel = count(parts[4], "the number of elements")};
  const auto [place, is_new] = storage_by_key_.try_emplace(key.text, static_cast<std::uint32_t>(storages_.size()));
  if (is_new) {
    storages_.push_back(storage);
  } else if (const PickleStorage& known = storages_[place->second];
             known.class_name != storage.class_name || known.numel != storage.numel) {
    reject("storage ", quote(key.text), " is ", known.numel, " elements of ", known.class_name, " and again ",
           storage.numel, " of ", storage.class_name);
  }
  push(PickleValue{.kind = PickleKind::storage, .index = place->second});
}

}  // namespace coppice
