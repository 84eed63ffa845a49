#pragma once
/// One tensor that a sparsifier has prepared, with its settings.

#include <string>

#include "coppice/nn/fqn.h"
#include "coppice/nn/module.h"

namespace coppice::sparsity {

/// Tensor, mask and settings of a sparsifier. It keeps the module alive and finds everything else when it is asked.
class Group {
 public:
  /// The sparsifier's defaults in their order, then what the tensor's own settings add; "tensor_fqn" is among them.
  /// Schedulers write "sparsity_level" here.
  Arguments config;

  /// A group without a mask, as it stands before prepare() attaches one. @throws KeyError  if there is no such module
  Group(const nn::TensorFqn& tensor, Arguments settings);

  [[nodiscard]] const std::string& tensor_fqn() const { return tensor_fqn_; }    ///< "seq.0.weight"
  [[nodiscard]] const std::string& module_fqn() const { return module_fqn_; }    ///< "seq.0"
  [[nodiscard]] const std::string& tensor_name() const { return tensor_name_; }  ///< "weight"
  [[nodiscard]] nn::Module& module() const { return *module_; }

  /// The tensor as the module computes with it: seen through the mask, and all else that parametrizes it.
  [[nodiscard]] Tensor weight() const;
  /// The dense values behind all parametrizations, or the tensor itself while there are none. To change a masked
  /// weight, write here.
  [[nodiscard]] Tensor original() const;
  /// Whether original() times mask() is weight(): nothing but this group's mask parametrizes the tensor.
  [[nodiscard]] bool masked_only() const;
  /// The mask, 1 keeps and 0 prunes, shape of the tensor: written in place, it takes effect at the next reading.
  /// @throws StateError  if the group has none
  [[nodiscard]] Tensor mask() const;
  /// Whether the mask stands on the tensor: false before prepare() and after squash_mask().
  [[nodiscard]] bool attached() const;

  /// Puts this mask onto the tensor, as FakeSparsity or by the setting "parametrization", behind parametrizations that
  /// it has. @throws as nn::parametrize::register_parametrization; ValueError  for a parametrization without the mask
  void attach(const Tensor& mask);
  /// Takes the first FakeSparsity that stands on the tensor for the own mask, with the setting "parametrization" the
  /// first module that has a buffer "mask". @return  whether there was one
  bool adopt();
  /// Takes the mask off and leaves the dense values; where other parametrizations stand beside it, it stays and is all
  /// ones from now on. Does nothing unless attached().
  void release();

 private:
  std::string tensor_fqn_;
  std::string module_fqn_;
  std::string tensor_name_;
  nn::ModulePtr module_;
  nn::ModulePtr parametrization_;
};

}  // namespace coppice::sparsity
