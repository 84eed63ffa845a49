#include "coppice/nn/quant/fuse_modules.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/nn/layers/activation.h"
#include "coppice/nn/layers/conv.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/masks/fake_sparsity.h"
#include "coppice/nn/parametrize.h"
#include "coppice/nn/quant/fused.h"
#include "coppice/nn/slots.h"
#include "quant/weights.h"

namespace coppice::nn::quant {
namespace {

using Modules = std::vector<ModulePtr>;

std::string types_of(const Modules& modules) {
  std::string text;
  for (const ModulePtr& m : modules) text += cat(text.empty() ? "" : ", ", m->type_name());
  return text;
}

bool is_conv(const Module& m) { return m.type_name() == Conv1d::kType || m.type_name() == Conv2d::kType; }
bool is_linear(const Module& m) { return m.type_name() == Linear::kType; }
bool is_relu(const Module& m) { return m.type_name() == ReLU::kType; }
/// The batch norm that goes behind `m`.
bool is_norm_of(const Module& norm, const Module& m) {
  return norm.type_name() == (m.type_name() == Conv2d::kType ? BatchNorm2d::kType : BatchNorm1d::kType);
}

template <class OneD, class TwoD>
ModulePtr by_rank(const Module& conv, const Modules& parts) {
  if (conv.type_name() == Conv1d::kType) return std::make_shared<OneD>(parts);
  return std::make_shared<TwoD>(parts);
}

/// A copy of `layer` with the batch norm multiplied in; masks and parametrizations stay in front of it.
ModulePtr folded(const ModulePtr& layer, const Module& norm) {
  const NoGrad guard;
  const ModulePtr copy = layer->clone();
  Tensor original = original_of(*copy, "weight");
  const Tensor bias = copy->find_tensor("bias"), mean = norm.tensor("running_mean"), var = norm.tensor("running_var");
  if (bias.defined() && !copy->own_parameters().contains("bias"))
    throw NotSupported(cat("[fuse_modules] the bias of ", layer->type_name(), " is masked; burn its mask in first"));
  if (parametrize::is_parametrized(*copy, "weight"))
    for (const auto& [name, p] : parametrize::parametrizations_of(*copy, "weight").children())
      if (p->type_name() != FakeSparsity::kType)
        throw NotSupported(
            cat("[fuse_modules] a batch norm is not folded into what ", p->type_name(), " parametrizes"));
  const double eps = dynamic_cast<const BatchNorm&>(norm).arguments().number("eps");
  const auto fold = is_linear(*layer) ? fuse_linear_bn_weights : fuse_conv_bn_weights;
  const FoldedWeights w = fold(original.detach(), bias.defined() ? bias.detach() : Tensor(), mean, var, eps,
                               norm.find_tensor("weight"), norm.find_tensor("bias"));
  original.copy_(w.weight);
  copy->slots().replace_parameter("bias", w.bias);
  return copy;
}

void check_statistics(const Module& norm) {
  if (!norm.find_tensor("running_mean").defined())
    throw NotSupported(cat("[fuse_modules] the ", norm.type_name(), " keeps no running statistics"));
}

/// What the modules become, without a change to them. @throws as fuse_modules()
ModulePtr fused(const Modules& m, bool qat) {
  for (const ModulePtr& part : m)
    if (part->training() != m[0]->training())
      throw StateError(cat("[fuse_modules] ", types_of(m), " are not all in the same mode"));
  const std::size_t n = m.size();
  const bool relu = n > 1 && is_relu(*m.back());
  const bool norm = n > 1 && (is_conv(*m[0]) || is_linear(*m[0])) && is_norm_of(*m[1], *m[0]);
  if (n == 2 && relu && m[0]->type_name() == BatchNorm2d::kType) return std::make_shared<BNReLU2d>(m);
  if (n == 2 && relu && is_linear(*m[0])) return std::make_shared<LinearReLU>(m);
  if (n == 2 && relu && is_conv(*m[0])) return by_rank<ConvReLU1d, ConvReLU2d>(*m[0], m);
  if (!norm || (n == 3 && (!relu || !is_conv(*m[0]))) || n > 3)
    throw NotSupported(cat("[fuse_modules] ", types_of(m), " cannot be fused"));
  check_statistics(*m[1]);
  if (qat) {
    if (!m[1]->find_tensor("weight").defined())
      throw NotSupported(cat("[fuse_modules_qat] the ", m[1]->type_name(), " has no weight to train"));
    if (is_linear(*m[0])) return std::make_shared<LinearBn1d>(m);
    return n == 3 ? by_rank<ConvBnReLU1d, ConvBnReLU2d>(*m[0], m) : by_rank<ConvBn1d, ConvBn2d>(*m[0], m);
  }
  if (m[0]->training())
    throw StateError(cat("[fuse_modules] ", types_of(m), " are in training mode; eval() first, or fuse_modules_qat()"));
  ModulePtr whole = folded(m[0], *m[1]);
  return n == 2 ? whole : by_rank<ConvReLU1d, ConvReLU2d>(*m[0], {whole, m[2]});
}

/// Puts the fused module and identities in the places of `modules`.
void put(Module& root, const std::vector<std::string>& names, const Modules& modules, const ModulePtr& whole) {
  ModuleHooks first = modules.front()->slots().release_hooks(), last;
  if (modules.size() > 1) last = modules.back()->slots().release_hooks();
  ModuleHooks own{std::move(first.before), std::move(modules.size() > 1 ? last.after : first.after)};
  whole->slots().take_hooks(own);
  // What the fused module does not take stays where it was.
  ModuleHooks rest{Hooks<ForwardPreHook>(), std::move(first.after)};
  modules.front()->slots().take_hooks(rest);
  ModuleHooks end{std::move(last.before), Hooks<ForwardHook>()};
  modules.back()->slots().take_hooks(end);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::size_t dot = names[i].rfind('.');
    const std::string parent = dot == std::string::npos ? "" : names[i].substr(0, dot);
    const std::string name = dot == std::string::npos ? names[i] : names[i].substr(dot + 1);
    ModulePtr value = whole;
    if (i > 0) {
      value = std::make_shared<Identity>();
      value->set_training(modules[0]->training());
    }
    root.find_module(parent)->add_module(name, std::move(value));
  }
}

ModulePtr fuse(const ModulePtr& model, const std::vector<std::vector<std::string>>& groups, Mode mode, bool qat) {
  if (model == nullptr) throw ValueError("[fuse_modules] needs a model");
  const ModulePtr root = mode == Mode::copy ? model->clone() : model;
  std::vector<std::pair<Modules, ModulePtr>> plan;
  for (const auto& names : groups) {
    Modules modules;
    for (const std::string& name : names) {
      Module* found = name.empty() ? nullptr : root->find_module(name);
      if (found == nullptr) throw KeyError(cat("[fuse_modules] there is no module ", quote(name)));
      modules.push_back(found->shared_from_this());
    }
    if (modules.size() < 2)
      throw NotSupported(cat("[fuse_modules] a group needs two modules or more; got ", modules.size()));
    ModulePtr whole = fused(modules, qat);
    plan.emplace_back(std::move(modules), std::move(whole));
  }
  for (std::size_t i = 0; i < groups.size(); ++i) put(*root, groups[i], plan[i].first, plan[i].second);
  return root;
}

/// [c] as [c, 1, …] of the rank of `weight`.
Tensor along_first(const Tensor& t, const Tensor& weight) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(weight.dim()), 1);
  sizes[0] = t.numel();
  return t.reshape(Shape(std::move(sizes)));
}

}  // namespace

FoldedWeights fuse_conv_bn_weights(const Tensor& weight, const Tensor& bias, const Tensor& mean, const Tensor& var,
                                   double eps, const Tensor& gamma, const Tensor& beta) {
  const NoGrad guard;
  const Tensor r = ones_like(var) / sqrt(var + eps), g = gamma.defined() ? gamma : ones_like(mean);
  const Tensor b = bias.defined() ? bias : zeros_like(mean), shift = beta.defined() ? beta : zeros_like(mean);
  return {weight * along_first(g * r, weight), (b - mean) * r * g + shift};
}

FoldedWeights fuse_linear_bn_weights(const Tensor& weight, const Tensor& bias, const Tensor& mean, const Tensor& var,
                                     double eps, const Tensor& gamma, const Tensor& beta) {
  const NoGrad guard;
  const Tensor r = ones_like(var) / sqrt(var + eps), k = gamma.defined() ? gamma * r : r;
  const Tensor b = bias.defined() ? bias : zeros_like(mean), shift = beta.defined() ? beta : zeros_like(mean);
  return {weight * along_first(k, weight), (b - mean) * k + shift};
}

ModulePtr fuse_modules(const ModulePtr& model, const std::vector<std::vector<std::string>>& groups, Mode mode) {
  return fuse(model, groups, mode, false);
}

ModulePtr fuse_modules_qat(const ModulePtr& model, const std::vector<std::vector<std::string>>& groups, Mode mode) {
  return fuse(model, groups, mode, true);
}

}  // namespace coppice::nn::quant
