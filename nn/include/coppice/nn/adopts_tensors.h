#pragma once
/// Modules that check their tensors as a whole.

#include "coppice/engine/io/named_tensors.h"

namespace coppice::nn {

/// A module that takes its own tensors whole instead of having values copied into slots of known shapes. Packed layers
/// are such: their shapes depend on the values.
class AdoptsTensors {
 public:
  virtual ~AdoptsTensors() = default;
  /// @param own  name in this module -> tensor
  /// @throws FormatError  if they break an invariant; with nothing changed
  virtual void adopt(const NamedTensors& own) = 0;
  /// Throws what adopt() would, and changes nothing: load_state_dict() asks before it copies, save_model() before it
  /// writes.
  virtual void check_adoptable(const NamedTensors& /*own*/) const {}
};

}  // namespace coppice::nn
