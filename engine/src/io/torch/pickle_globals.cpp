#include "io/torch/pickle_globals.h"

#include <algorithm>
#include <array>

namespace coppice {
namespace {

using G = PickleGlobal;

constexpr GlobalRow storage(std::string_view name, Dtype dtype, std::uint8_t width) {
  return {"torch", name, G::storage_class, dtype, width};
}
constexpr GlobalRow other_storage(std::string_view name, std::uint8_t width) {
  return {"torch", name, G::storage_class, {}, width};
}

// What state dicts name. No row leads to code.
constexpr std::array kOfStateDicts{
    GlobalRow{"collections", "OrderedDict", G::ordered_dict},
    GlobalRow{"__builtin__", "set", G::set},
    GlobalRow{"builtins", "set", G::set},
    GlobalRow{"_codecs", "encode", G::encode},
    GlobalRow{"torch", "Size", G::size},
    GlobalRow{"torch", "device", G::device},
    GlobalRow{"torch.serialization", "_get_layout", G::layout},
    GlobalRow{"torch._utils", "_rebuild_tensor", G::rebuild_tensor},
    GlobalRow{"torch._utils", "_rebuild_tensor_v2", G::rebuild_tensor_v2},
    GlobalRow{"torch._utils", "_rebuild_tensor_v3", G::rebuild_tensor_v3},
    GlobalRow{"torch._utils", "_rebuild_parameter", G::rebuild_parameter},
    GlobalRow{"torch.nn.parameter", "Parameter", G::rebuild_parameter},
    GlobalRow{"torch._utils", "_rebuild_parameter_with_state", G::rebuild_parameter_with_state},
    GlobalRow{"torch._tensor", "_rebuild_from_type_v2", G::rebuild_from_type},
    GlobalRow{"torch._utils", "_rebuild_qtensor", G::rebuild_quantized},
    GlobalRow{"torch._utils", "_rebuild_sparse_tensor", G::rebuild_sparse},
    GlobalRow{"torch._utils", "_rebuild_meta_tensor_no_storage", G::rebuild_meta},
    GlobalRow{"torch._utils", "_rebuild_nested_tensor", G::rebuild_nested},
    GlobalRow{"torch._utils", "_rebuild_device_tensor_from_cpu_tensor", G::rebuild_other_device},
    GlobalRow{"torch.storage", "UntypedStorage", G::untyped_storage, {}, 1},
    GlobalRow{"torch", "UntypedStorage", G::untyped_storage, {}, 1},
    storage("FloatStorage", Dtype::f32, 4),
    storage("DoubleStorage", Dtype::f64, 8),
    storage("HalfStorage", Dtype::f16, 2),
    storage("BFloat16Storage", Dtype::bf16, 2),
    storage("CharStorage", Dtype::i8, 1),
    storage("ByteStorage", Dtype::u8, 1),
    storage("ShortStorage", Dtype::i16, 2),
    storage("IntStorage", Dtype::i32, 4),
    storage("LongStorage", Dtype::i64, 8),
    storage("BoolStorage", Dtype::boolean, 1),
    other_storage("ComplexFloatStorage", 8),
    other_storage("ComplexDoubleStorage", 16),
    other_storage("QInt8Storage", 1),
    other_storage("QUInt8Storage", 1),
    other_storage("QInt32Storage", 4),
    other_storage("QUInt4x2Storage", 1),
    other_storage("QUInt2x4Storage", 1),
    GlobalRow{"torch", "per_tensor_affine", G::word},
    GlobalRow{"torch", "per_tensor_symmetric", G::word},
    GlobalRow{"torch", "per_channel_affine", G::word},
    GlobalRow{"torch", "per_channel_symmetric", G::word},
    GlobalRow{"torch", "per_channel_affine_float_qparams", G::word},
};

// What says how something else is made, so that its class can be named and its tensors found.
constexpr std::array kOfOthers{
    GlobalRow{"torch._tensor", "_rebuild_from_type", G::rebuild_from_type},
    GlobalRow{"torch.tensor", "_rebuild_from_type", G::rebuild_from_type},
    GlobalRow{"torch._utils", "_rebuild_sparse_csr_tensor", G::rebuild_sparse},
    GlobalRow{"torch.jit._pickle", "restore_type_tag", G::tagged},
    GlobalRow{"copyreg", "_reconstructor", G::rebuilds},
    GlobalRow{"copy_reg", "_reconstructor", G::rebuilds},
    GlobalRow{"copyreg", "__newobj__", G::rebuilds},
    GlobalRow{"copyreg", "__newobj_ex__", G::rebuilds},
    GlobalRow{"numpy.core.multiarray", "_reconstruct", G::rebuilds},
    GlobalRow{"numpy._core.multiarray", "_reconstruct", G::rebuilds},
};

/// Element types that PyTorch has and this library has not.
constexpr std::array<std::string_view, 16> kOtherDtypes{
    "uint16",        "uint32",      "uint64",          "complex32",       "complex64",      "complex128",
    "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2",
    "qint8",         "quint8",      "qint32",          "quint4x2"};

}  // namespace

GlobalRow find_global(std::string_view module, std::string_view name, bool strict) {
  const auto same = [&](const GlobalRow& row) { return row.module == module && row.name == name; };
  if (const auto row = std::ranges::find_if(kOfStateDicts, same); row != kOfStateDicts.end()) return *row;
  if (module == "torch") {
    if (const auto dtype = dtype_from_name(name)) return {module, name, G::dtype, dtype};
    if (std::ranges::find(kOtherDtypes, name) != kOtherDtypes.end()) return {module, name, G::dtype};
  }
  if (!strict)
    if (const auto row = std::ranges::find_if(kOfOthers, same); row != kOfOthers.end()) return *row;
  return {module, name};
}

}  // namespace coppice
