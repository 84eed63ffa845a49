#pragma once
// What a file may make of parametrizations: they come back as derived tensors, under rules that no small file can turn
// against the memory or the kernels of its reader. Private to nn.

#include <string>
#include <vector>

#include "coppice/nn/parametrize.h"

namespace coppice::nn {

/// Tensors of a file's modules that lists stand for now, with what was in their place.
struct Attached {
  const Module* module;
  std::string path;  ///< of the tensor
  std::string name;
  Shape shape;
  Dtype dtype;
};

/// Makes derived tensors of what the lists below `module` stand for, after a file brought modules and lists.
/// @throws FormatError  naming `source`, also for a parametrization whose type has not TypeFlags::parametrizes: the
///         product of two small tensors may fill any memory
std::vector<Attached> attach_parametrizations(Module& root, const std::string& source);

/// Why `list` cannot stand in a file for a tensor of this shape and type; empty if it can. It must give the shape, and
/// floating numbers where those belong. What was registered as unsafe need not, unless all types have
/// TypeFlags::keeps_shape: a file which says otherwise lies.
/// @param compute  where no flag tells, compute the tensor; otherwise believe
[[nodiscard]] std::string misfit(const parametrize::ParametrizationList& list, const Shape& shape, Dtype dtype,
                                 bool compute);

/// Checks that every one suits what it stands for, as misfit() says. Computes those that no flag tells of.
/// @throws FormatError
void check_parametrizations(const std::vector<Attached>& all, const std::string& source);

}  // namespace coppice::nn
