#pragma once
// What a Tensor handle points to. Private to the engine.

#include <functional>
#include <memory>
#include <vector>

#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/op_table.h"

namespace coppice {

struct GradNode;

struct TensorImpl {
  std::shared_ptr<Storage> storage;
  std::size_t offset = 0;  // bytes
  Shape shape;
  Dtype dtype = Dtype::f32;
  QParamsPtr qparams;  // of a quantised type
  bool requires_grad = false;
  std::shared_ptr<GradNode> node;  // operation that made it; none for leaves
  std::size_t output = 0;          // which result of that operation
  Tensor grad;
};

/// Where the gradient of one input goes: to a result of an earlier node, or into a leaf.
struct Edge {
  std::shared_ptr<GradNode> node;
  std::size_t output = 0;
  std::shared_ptr<TensorImpl> leaf;
};

/// What `t` points to. @throws StateError  naming `method`, if it is undefined
inline TensorImpl& deref(const Tensor& t, const char* method) {
  if (!t.defined()) throw StateError(cat("[Tensor::", method, "] the tensor is undefined"));
  return *t.impl();
}

struct GradNode {
  std::vector<Edge> edges;
  std::function<GradList(const GradList&)> backward;
  std::size_t outputs = 1;
  const OpRow* op = nullptr;  // what it is the gradient of; none for with_grad() outside a scope
  Arguments attributes;
  std::uint64_t sequence = 0;      // grows with every node: a node's inputs have smaller numbers
  std::shared_ptr<GradNode> next;  // while a graph is freed
  ~GradNode();
};

}  // namespace coppice
