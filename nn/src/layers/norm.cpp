#include "coppice/nn/layers/norm.h"

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/reduce.h"
#include "coppice/nn/init.h"
#include "layers/common_type.h"

namespace coppice::nn {
namespace {

/// [c] as [1, c, 1, …] of the rank of `x`, so that it broadcasts along the channels.
Tensor per_channel(const Tensor& t, const Tensor& x) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(x.dim()), 1);
  sizes[1] = t.numel();
  return t.reshape(Shape(std::move(sizes)));
}

/// Initial values; under SkipInit unfilled, so that a size in a file that lies costs no memory.
Tensor filled(const Shape& shape, double value) {
  return SkipInit::active() ? Tensor::empty(shape) : full(shape, value);
}

}  // namespace

BatchNorm::BatchNorm(std::string_view type, const BatchNormSettings& s) : settings_(s) {
  if (s.features < 1 || !(s.eps >= 0))
    throw ValueError(
        cat("[", type, "] num_features must be at least 1 and eps at least 0; got ", s.features, " and ", s.eps));
  register_parameter("weight", s.affine ? filled({s.features}, 1) : Tensor());
  register_parameter("bias", s.affine ? filled({s.features}, 0) : Tensor());
  if (!s.track_running_stats) return;
  register_buffer("running_mean", filled({s.features}, 0));
  register_buffer("running_var", filled({s.features}, 1));
  register_buffer("num_batches_tracked", zeros(Shape{}, Dtype::i64));
}

BatchNormSettings BatchNorm::settings_from(const Arguments& a) {
  BatchNormSettings s;
  s.features = a.integer("num_features");
  s.eps = a.number("eps", s.eps);
  if (a.boolean("cumulative", false))
    s.momentum.reset();
  else
    s.momentum = a.number("momentum", 0.1);
  s.affine = a.boolean("affine", true);
  s.track_running_stats = a.boolean("track_running_stats", true);
  return s;
}

Arguments BatchNorm::arguments() const {
  Arguments a{{"num_features", num_features()}, {"eps", settings_.eps}};
  if (settings_.momentum)
    a.set("momentum", *settings_.momentum);
  else
    a.set("cumulative", true);
  a.set("affine", settings_.affine);
  a.set("track_running_stats", settings_.track_running_stats);
  return a;
}

std::int64_t BatchNorm::num_features() const {
  for (const char* name : {"running_var", "weight"})
    if (const Tensor t = find_tensor(name); t.defined()) return t.numel();
  return settings_.features;
}

void BatchNorm::check_channels(const Tensor& x, const Own& own) const {
  const std::int64_t c = own.variance.defined() ? own.variance.numel()
                         : own.weight.defined() ? own.weight.numel()
                                                : settings_.features;
  if (x.size(1) != c) throw ShapeError(cat("[", type_name(), "] needs ", c, " channels; got x: ", x.shape()));
  const auto check = [&](const char* name, const Tensor& t) {
    if (t.defined() && t.shape() != Shape{c})
      throw ShapeError(cat("[", type_name(), "] ", quote(name), " must be ", Shape{c}, "; got ", t.shape()));
  };
  check("weight", own.weight);
  check("bias", own.bias);
  check("running_mean", own.mean);
  check("running_var", own.variance);
}

void BatchNorm::track(const Own& own, const Tensor& mean, const Tensor& variance, std::int64_t count) const {
  NoGrad guard;
  Tensor batches = tensor("num_batches_tracked");
  batches.add_(Tensor::of(1));
  const double momentum = settings_.momentum.value_or(1 / batches.item<double>());
  const double unbiased = count > 1 ? static_cast<double>(count) / static_cast<double>(count - 1) : 1;
  Tensor running_mean = own.mean, running_var = own.variance;
  running_mean.mul_(1 - momentum).add_(mean.detach(), momentum);
  running_var.mul_(1 - momentum).add_(variance.detach(), momentum * unbiased);
}

Tensor BatchNorm::normalise(const Tensor& given) const {
  const bool tracks = settings_.track_running_stats;
  const Own own{find_tensor("weight"), find_tensor("bias"), tracks ? tensor("running_mean") : Tensor(),
                tracks ? tensor("running_var") : Tensor()};
  check_channels(given, own);
  const auto type = common_type({given, own.weight, own.bias});
  const Tensor x = type ? given.to(computed_in(*type)) : given;
  Tensor mean, variance;
  if (training() || !tracks) {
    Axes axes{0};
    for (std::int64_t i = 2; i < x.dim(); ++i) axes.push_back(i);
    const std::int64_t count = x.numel() / x.size(1);
    if (training() && count <= 1)
      throw ValueError(cat("[", type_name(), "] needs more than 1 value per channel in training; got x: ", x.shape()));
    mean = coppice::mean(x, axes);
    variance = var(x, axes, 0);
    if (training() && tracks) track(own, mean, variance, count);
  } else {
    mean = own.mean.to(x.dtype());
    variance = own.variance.to(x.dtype());
  }
  Tensor scale = pow(variance + settings_.eps, -0.5);
  if (own.weight.defined()) scale = scale * own.weight;
  Tensor y = (x - per_channel(mean, x)) * per_channel(scale, x);
  if (own.bias.defined()) y = y + per_channel(own.bias, x);
  return in_type(y, type);
}

Tensor BatchNorm1d::forward(const Tensor& x) const {
  if (x.dim() != 2 && x.dim() != 3) throw ShapeError(cat("[BatchNorm1d] needs [n, c] or [n, c, l]; got ", x.shape()));
  return normalise(x);
}

Tensor BatchNorm2d::forward(const Tensor& x) const {
  if (x.dim() != 4) throw ShapeError(cat("[BatchNorm2d] needs [n, c, h, w]; got ", x.shape()));
  return normalise(x);
}

LayerNorm::LayerNorm(std::vector<std::int64_t> shape, double eps, bool affine, bool bias)
    : shape_(std::move(shape)), eps_(eps) {
  if (shape_.rank() == 0) throw ValueError("[LayerNorm] normalized_shape must not be empty");
  register_parameter("weight", affine ? filled(shape_, 1) : Tensor());
  register_parameter("bias", affine && bias ? filled(shape_, 0) : Tensor());
}

LayerNorm::LayerNorm(const Arguments& a)
    : LayerNorm(a.integers("normalized_shape"), a.number("eps", 1e-5), a.boolean("elementwise_affine", true),
                a.boolean("bias", true)) {}

Shape LayerNorm::normalized_shape() const {
  const Tensor weight = find_tensor("weight");
  return weight.defined() ? weight.shape() : shape_;
}

Arguments LayerNorm::arguments() const {
  const Shape shape = normalized_shape();
  return {{"normalized_shape", std::vector<std::int64_t>(shape.begin(), shape.end())},
          {"eps", eps_},
          {"elementwise_affine", find_tensor("weight").defined()},
          {"bias", find_tensor("bias").defined() || !find_tensor("weight").defined()}};
}

Tensor LayerNorm::forward(const Tensor& given) const {
  const Tensor weight = find_tensor("weight"), bias = find_tensor("bias");
  const Shape& shape = weight.defined() ? weight.shape() : shape_;
  if (bias.defined() && bias.shape() != shape)
    throw ShapeError(cat("[LayerNorm] 'bias' must be ", shape, " as 'weight'; got ", bias.shape()));
  const std::int64_t rank = shape.rank();
  const auto type = common_type({given, weight, bias});
  const Tensor x = type ? given.to(computed_in(*type)) : given;
  bool fits = x.dim() >= rank;
  Axes axes;
  for (std::int64_t i = 0; fits && i < rank; ++i) {
    axes.push_back(x.dim() - rank + i);
    fits = x.size(axes.back()) == shape[i];
  }
  if (!fits) throw ShapeError(cat("[LayerNorm] x ", x.shape(), " does not end in ", shape));
  const Tensor centred = x - mean(x, axes, true);
  Tensor y = centred * pow(mean(centred * centred, axes, true) + eps_, -0.5);
  if (weight.defined()) y = y * weight;
  if (bias.defined()) y = y + bias;
  return in_type(y, type);
}

}  // namespace coppice::nn
