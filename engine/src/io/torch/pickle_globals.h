#pragma once
/// The names of Python and PyTorch that mean something here.

#include <cstdint>
#include <optional>
#include <string_view>

#include "coppice/engine/dtype.h"

namespace coppice {

/// What a GLOBAL may name.
enum class PickleGlobal : std::uint8_t {
  unknown,  // any other: inert
  ordered_dict,
  set,
  encode,
  size,
  device,
  layout,
  rebuild_tensor,
  rebuild_tensor_v2,
  rebuild_tensor_v3,
  rebuild_parameter,
  rebuild_parameter_with_state,
  rebuild_from_type,
  rebuild_other_device,
  rebuild_quantized,
  rebuild_sparse,
  rebuild_meta,
  rebuild_nested,
  storage_class,
  untyped_storage,
  dtype,
  word,
  tagged,    // TorchScript's pair of a value and its type
  rebuilds,  // makes an instance of its first argument, a class
};

struct GlobalRow {
  std::string_view module;
  std::string_view name;
  PickleGlobal global = PickleGlobal::unknown;
  std::optional<Dtype> dtype = {};  // of a storage class or dtype
  std::uint8_t width = 0;           // bytes of an element of a storage class; 0: not known
};

/// The row of a name; one of PickleGlobal::unknown if there is none.
/// @param strict  without the names that no state dict needs
[[nodiscard]] GlobalRow find_global(std::string_view module, std::string_view name, bool strict);

}  // namespace coppice
