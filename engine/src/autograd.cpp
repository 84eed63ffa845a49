#include "coppice/engine/autograd.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "coppice/engine/create.h"
#include "coppice/engine/ops/op.h"
#include "tensor_impl.h"

namespace coppice {
namespace {

thread_local bool enabled = true;
/// The operation whose gradient this thread computes, for messages.
thread_local const OpRow* running = nullptr;

/// "[backward]", or "[backward] mul:" while the gradient of mul is computed.
std::string backward_of() { return running == nullptr ? "[backward]" : cat("[backward] ", running->name, ":"); }

std::atomic<std::uint64_t> next_sequence{1};

/// Every node that `root` depends on, newest first: a node comes before all nodes that made its inputs.
std::vector<GradNode*> order_of(GradNode* root) {
  std::vector<GradNode*> order{root};
  std::unordered_set<GradNode*> seen{root};
  for (std::size_t i = 0; i < order.size(); ++i)
    for (const Edge& edge : order[i]->edges)
      if (edge.node != nullptr && seen.insert(edge.node.get()).second) order.push_back(edge.node.get());
  std::ranges::sort(order, std::greater<>{}, &GradNode::sequence);
  return order;
}

bool wants(const Tensor& t) { return t.defined() && t.requires_grad(); }

void accumulate(Tensor& into, const Tensor& gradient) {
  if (!into.defined())
    into = gradient;
  else
    into = into.clone().add_(gradient);  // the first one may be shared with another edge
}

void accumulate_leaf(TensorImpl& leaf, const Tensor& gradient) {
  if (!leaf.grad.defined())
    leaf.grad = gradient.clone();
  else
    leaf.grad.add_(gradient);
}

void check_gradient(const Edge& edge, const Tensor& gradient) {
  if (edge.leaf != nullptr && (gradient.shape() != edge.leaf->shape || gradient.dtype() != edge.leaf->dtype))
    throw ShapeError(cat(backward_of(), " a gradient of shape ", gradient.shape(), " and type ", gradient.dtype(),
                         " arrived at a leaf of shape ", edge.leaf->shape, " and type ", edge.leaf->dtype));
}

/// Names the operation in messages, for the time it lives; gradients that run backward() themselves nest.
class Running {
 public:
  explicit Running(const OpRow* op) : before_(running) { running = op; }
  ~Running() { running = before_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  const OpRow* before_;
};

}  // namespace

NoGrad::NoGrad() : before_(enabled) { enabled = false; }
NoGrad::~NoGrad() { enabled = before_; }
EnableGrad::EnableGrad() : before_(enabled) { enabled = true; }
EnableGrad::~EnableGrad() { enabled = before_; }
bool grad_enabled() { return enabled; }

bool needs_grad(std::initializer_list<std::reference_wrapper<const Tensor>> inputs) {
  return detail::wants_grad({inputs.begin(), inputs.size()});
}

Saved::Saved(const Tensor& tensor) {
  if (!tensor.defined()) return;
  tensor_ = tensor.detach();
  version_ = tensor.version();
}

const Tensor& Saved::operator()() const {
  if (tensor_.defined() && tensor_.version() != version_)
    throw StateError(cat(backward_of(), " a tensor of shape ", tensor_.shape(),
                         " that the gradient needs was changed in place after the forward pass"));
  return tensor_;
}

// A chain of a million operations must not be freed by a million nested destructor calls, and a destructor may not ask
// for memory: nodes that nobody else holds wait in a list through `next`.
GradNode::~GradNode() {
  std::shared_ptr<GradNode> pending;
  const auto take = [&pending](GradNode& node) {
    for (Edge& edge : node.edges) {
      const std::shared_ptr<GradNode> input = std::move(edge.node);
      if (input == nullptr || input.use_count() != 1) continue;
      input->next = std::move(pending);
      pending = input;
    }
    node.edges.clear();
  };
  take(*this);
  while (pending != nullptr) {
    const std::shared_ptr<GradNode> node = std::move(pending);
    pending = std::move(node->next);
    take(*node);
  }
}

TensorList detail::attach(TensorList ys, const TensorList& inputs, std::function<GradList(const GradList&)> backward,
                          const OpRow* row, Arguments attributes) {
  for (const Tensor& y : ys)
    if (!y.defined()) throw StateError("[with_grad] a result is undefined");
  auto node = std::make_shared<GradNode>();
  node->edges.reserve(inputs.size());
  for (const Tensor& input : inputs) {
    if (!wants(input))
      node->edges.push_back({});
    else if (const auto& impl = input.impl(); impl->node != nullptr)
      node->edges.push_back({impl->node, impl->output, nullptr});
    else
      node->edges.push_back({nullptr, 0, impl});
  }
  node->backward = std::move(backward);
  node->outputs = ys.size();
  node->op = row;
  node->attributes = std::move(attributes);
  node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < ys.size(); ++i) {
    TensorImpl& impl = *ys[i].impl();
    impl.node = node;
    impl.output = i;
    impl.requires_grad = true;
  }
  return ys;
}

TensorList with_grad(TensorList ys, TensorList inputs, std::function<GradList(const GradList&)> backward) {
  if (!enabled || std::ranges::none_of(inputs, wants)) return ys;
  return detail::attach(std::move(ys), inputs, std::move(backward), nullptr, {});
}

Tensor with_grad(Tensor y, TensorList inputs, std::function<GradList(const Tensor&)> backward) {
  if (!enabled || std::ranges::none_of(inputs, wants)) return y;
  return with_grad(TensorList{y}, std::move(inputs),
                   [f = std::move(backward)](const GradList& dys) { return f(dys[0]); })[0];
}

bool Tensor::requires_grad() const { return deref(*this, "requires_grad").requires_grad; }
bool Tensor::is_leaf() const { return deref(*this, "is_leaf").node == nullptr; }

Tensor& Tensor::requires_grad_(bool on) {
  if (on && !is_floating(dtype())) throw DtypeError(cat("[requires_grad_] needs a floating type; got ", dtype()));
  if (!is_leaf()) throw StateError("[requires_grad_] only leaves can be switched; use detach() on a computed tensor");
  impl_->requires_grad = on;
  return *this;
}

Tensor Tensor::grad() const { return deref(*this, "grad").grad; }

void Tensor::set_grad(Tensor grad) {
  TensorImpl& impl = deref(*this, "set_grad");
  if (grad.defined() && (grad.shape() != shape() || grad.dtype() != dtype()))
    throw ShapeError(
        cat("[set_grad] gradient ", grad.shape(), " of ", grad.dtype(), " for a tensor ", shape(), " of ", dtype()));
  impl.grad = std::move(grad);
}

void Tensor::backward(bool retain_graph) const {
  (void)deref(*this, "backward");
  if (numel() != 1) throw ShapeError(cat("[backward] starts at a scalar; shape is ", shape(), ". Pass a gradient"));
  backward(ones(shape(), dtype()), retain_graph);
}

void Tensor::backward(const Tensor& gradient, bool retain_graph) const {
  if (!deref(*this, "backward").requires_grad)
    throw StateError("[backward] the tensor does not require grad and has no graph");
  if (gradient.shape() != shape())
    throw ShapeError(cat("[backward] gradient ", gradient.shape(), " for a tensor of shape ", shape()));
  NoGrad guard;
  if (impl_->node == nullptr) return accumulate_leaf(*impl_, gradient.to(dtype()));

  std::unordered_map<GradNode*, GradList> arrived;
  arrived[impl_->node.get()].resize(impl_->node->outputs);
  arrived[impl_->node.get()][impl_->output] = gradient.to(dtype());
  const std::vector<GradNode*> order = order_of(impl_->node.get());
  // Leaves are written only after the whole walk, so that a failing gradient leaves every .grad as it was.
  std::vector<std::pair<TensorImpl*, Tensor>> results;
  for (GradNode* node : order)
    if (node->backward == nullptr)
      throw StateError("[backward] the graph was freed by an earlier backward(); pass retain_graph to keep it");
  for (GradNode* node : order) {
    const auto found = arrived.find(node);
    if (found == arrived.end()) continue;
    const Running name(node->op);
    const GradList gradients = node->backward(found->second);
    arrived.erase(found);
    for (std::size_t i = 0; i < node->edges.size() && i < gradients.size(); ++i) {
      const Edge& edge = node->edges[i];
      if (!gradients[i].defined()) continue;
      check_gradient(edge, gradients[i]);
      if (edge.leaf != nullptr) results.emplace_back(edge.leaf.get(), gradients[i]);
      if (edge.node == nullptr) continue;
      GradList& slot = arrived[edge.node.get()];
      slot.resize(edge.node->outputs);
      accumulate(slot[edge.output], gradients[i]);
    }
  }
  for (auto& [leaf, value] : results) accumulate_leaf(*leaf, value);
  if (retain_graph) return;
  for (GradNode* node : order) node->backward = nullptr;
}

}  // namespace coppice
