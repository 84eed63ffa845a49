#include "coppice/nn/optim.h"

#include <cmath>

#include "coppice/engine/autograd.h"
#include "coppice/engine/create.h"
#include "coppice/engine/parallel.h"
#include "optim_steps.h"

namespace coppice::nn {
namespace {

constexpr std::int64_t kGrain = 1 << 15;

void need(bool holds, const char* what, const char* rule, double value) {
  if (!holds) throw ValueError(cat("[", what, "] ", rule, "; got ", value));
}

/// f over the elements of a parameter in its own type.
template <class F>
void each(const Tensor& parameter, F f) {
  if (parameter.dtype() == Dtype::f32)
    f.template operator()<float>();
  else if (parameter.dtype() == Dtype::f64)
    f.template operator()<double>();
  else
    throw DtypeError(cat("[Optimizer] trains float32 and float64 parameters; got ", parameter.dtype()));
}

}  // namespace

Optimizer::Optimizer(TensorList parameters, double lr)
    : parameters_(std::move(parameters)), masks_(parameters_.size()) {
  if (parameters_.empty()) throw ValueError("[Optimizer] there are no parameters");
  places_.reserve(parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].defined()) throw ValueError(cat("[Optimizer] parameter ", i, " is undefined"));
    if (!places_.emplace(parameters_[i].impl().get(), i).second)
      throw ValueError(cat("[Optimizer] parameter ", i, " is given twice"));
  }
  set_lr(lr);
}

void Optimizer::set_lr(double lr) {
  need(lr >= 0 && std::isfinite(lr), "Optimizer", "lr must be at least 0", lr);
  lr_ = lr;
}

void Optimizer::check_step(std::size_t i) {
  const Tensor& p = parameters_[i];
  const auto name = [i](std::string_view what) {  // of a slot as in state_dict()
    return what.starts_with("the ") ? cat(what, " of parameter ", i) : cat("'", i, '.', what, "'");
  };
  const auto need_shape = [&](std::string_view what, const Tensor& t) {
    if (t.shape() != p.shape())
      throw ShapeError(cat("[Optimizer] ", name(what), " has shape ", t.shape(), " for a parameter of ", p.shape()));
  };
  const auto need_same = [&](std::string_view what, const Tensor& t) {
    need_shape(what, t);
    if (t.dtype() != p.dtype())
      throw DtypeError(cat("[Optimizer] ", name(what), " is ", t.dtype(), " for a parameter of ", p.dtype()));
  };
  each(p, []<class T>() {});
  need_same("the gradient", p.grad());
  for (const auto& [word, slot] : slots(i))
    if (slot->defined()) need_same(word, *slot);
  if (masks_[i].defined()) need_shape("the mask", masks_[i]);
}

void Optimizer::step() {
  NoGrad guard;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (parameters_[i].grad().defined()) check_step(i);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor gradient = parameters_[i].grad();
    if (!gradient.defined()) continue;
    update(i, parameters_[i], gradient);
    apply_mask(i);
  }
}

void Optimizer::zero_grad(bool set_to_none) {
  for (Tensor& p : parameters_) {
    if (set_to_none)
      p.set_grad(Tensor());
    else if (p.grad().defined())
      p.grad().zero_();
  }
}

void Optimizer::set_mask(const Tensor& parameter, const Tensor& mask) {
  const auto found = places_.find(parameter.impl().get());
  if (found == places_.end()) throw KeyError("[Optimizer::set_mask] this parameter is not held");
  if (mask.defined() && mask.shape() != parameter.shape())
    throw ShapeError(cat("[Optimizer::set_mask] mask ", mask.shape(), " for a parameter of shape ", parameter.shape()));
  const std::size_t i = found->second;
  NoGrad guard;
  masks_[i] = mask.defined() ? mask.to(Dtype::boolean) : mask;
  apply_mask(i);
}

void Optimizer::apply_mask(std::size_t i) {
  if (!masks_[i].defined()) return;
  const bool* keep = masks_[i].data<bool>().data();
  each(parameters_[i], [&]<class T>() {
    T* p = parameters_[i].mutable_data<T>().data();
    parallel_for(parameters_[i].numel(), kGrain, [=](Rows r) {
      for (std::int64_t k = r.begin; k < r.end; ++k) p[k] = keep[k] ? p[k] : T(0);
    });
  });
}

NamedTensors Optimizer::state_dict() const {
  auto& self = const_cast<Optimizer&>(*this);  // slots() is for reading and writing
  NamedTensors out;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    bool any = false;
    for (const auto& [word, slot] : self.slots(i))
      if (slot->defined()) {
        any = true;
        out.add(cat(i, '.', word), slot->detach());
      }
    if (const std::int64_t* count = self.steps(i); any && count != nullptr)
      out.add(cat(i, ".step"), Tensor::from(std::vector<std::int64_t>{*count}, {}));
  }
  return out;
}

namespace {

/// @throws ShapeError, DtypeError  unless `given` may be the state `name` of `parameter`
void check_slot(const std::string& name, const Tensor& given, const Tensor& parameter) {
  if (given.shape() != parameter.shape())
    throw ShapeError(cat("[Optimizer::load_state_dict] '", name, "' has shape ", given.shape(), " for a parameter of ",
                         parameter.shape()));
  if (given.dtype() != parameter.dtype())
    throw DtypeError(
        cat("[Optimizer::load_state_dict] '", name, "' is ", given.dtype(), " for a parameter of ", parameter.dtype()));
}

/// @throws ShapeError  unless it is one count that the formulas can take as a double
void check_steps(std::size_t i, const Tensor& given) {
  constexpr std::int64_t kMostSteps = std::int64_t{1} << 53;
  const bool one = given.dtype() == Dtype::i64 && given.numel() == 1;
  if (!one || given.item<std::int64_t>() < 0 || given.item<std::int64_t>() > kMostSteps)
    throw ShapeError(cat("[Optimizer::load_state_dict] '", i, ".step' must be one int64 in 0..2^53; it is ",
                         one ? cat(given.item<std::int64_t>()) : cat(given.dtype(), " of ", given.shape())));
}

}  // namespace

void Optimizer::load_state_dict(const NamedTensors& state) {
  std::vector<std::pair<Tensor*, Tensor>> values;
  std::vector<std::pair<std::int64_t*, std::int64_t>> counts;
  std::size_t used = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    std::size_t found = 0;
    const auto own = slots(i);
    for (const auto& [word, slot] : own) {
      const Tensor* given = state.find(cat(i, '.', word));
      if (given == nullptr) {
        values.emplace_back(slot, Tensor());
        continue;
      }
      ++found;
      check_slot(cat(i, '.', word), *given, parameters_[i]);
      values.emplace_back(slot, given->detach().clone());
    }
    std::int64_t* count = steps(i);
    const Tensor* given = count == nullptr ? nullptr : state.find(cat(i, ".step"));
    if ((found != 0 || given != nullptr) && (found != own.size() || (count != nullptr && given == nullptr)))
      throw KeyError(cat("[Optimizer::load_state_dict] the state of parameter ", i, " is not complete"));
    if (given != nullptr) {
      check_steps(i, *given);
      ++found;
    }
    if (count != nullptr) counts.emplace_back(count, given == nullptr ? 0 : given->item<std::int64_t>());
    used += found;
  }
  if (used != state.size())
    throw KeyError(cat("[Optimizer::load_state_dict] ", state.size() - used, " of ", state.size(),
                       " tensors belong to no parameter of this optimiser"));
  for (auto& [slot, value] : values) *slot = value;
  for (const auto& [count, value] : counts) *count = value;
}

SGD::SGD(TensorList parameters, const SgdOptions& o)
    : Optimizer(std::move(parameters), o.lr), options_(o), velocity_(Optimizer::parameters().size()) {
  need(o.momentum >= 0, "SGD", "momentum must be at least 0", o.momentum);
  need(o.weight_decay >= 0, "SGD", "weight_decay must be at least 0", o.weight_decay);
  need(!o.nesterov || (o.momentum > 0 && o.dampening == 0), "SGD", "nesterov needs momentum and no dampening",
       o.momentum);
}

std::vector<std::pair<std::string, Tensor*>> SGD::slots(std::size_t i) {
  if (options_.momentum == 0) return {};
  return {{"momentum_buffer", &velocity_[i]}};
}

void SGD::update(std::size_t i, Tensor& parameter, const Tensor& gradient) {
  const bool first = !velocity_[i].defined();
  if (first && options_.momentum != 0) velocity_[i] = zeros_like(parameter);
  each(parameter, [&]<class T>() {
    const SgdStep<T> step{.p = parameter.mutable_data<T>().data(),
                          .g = gradient.data<T>().data(),
                          .v = options_.momentum != 0 ? velocity_[i].mutable_data<T>().data() : nullptr,
                          .decay = static_cast<T>(options_.weight_decay),
                          .momentum = static_cast<T>(options_.momentum),
                          .fresh = static_cast<T>(1 - options_.dampening),
                          .rate = static_cast<T>(-lr()),
                          .first = first,
                          .nesterov = options_.nesterov};
    parallel_for(parameter.numel(), kGrain, [&](Rows rows) { run(step, rows); });
  });
}

Adam::Adam(TensorList parameters, const AdamOptions& o, bool decoupled)
    : Optimizer(std::move(parameters), o.lr),
      options_(o),
      decoupled_(decoupled),
      first_(Optimizer::parameters().size()),
      second_(first_.size()),
      largest_(first_.size()),
      steps_(first_.size()) {
  need(o.beta1 >= 0 && o.beta1 < 1, "Adam", "beta1 must be in [0, 1)", o.beta1);
  need(o.beta2 >= 0 && o.beta2 < 1, "Adam", "beta2 must be in [0, 1)", o.beta2);
  need(o.eps >= 0, "Adam", "eps must be at least 0", o.eps);
  need(o.weight_decay >= 0, "Adam", "weight_decay must be at least 0", o.weight_decay);
}

std::vector<std::pair<std::string, Tensor*>> Adam::slots(std::size_t i) {
  std::vector<std::pair<std::string, Tensor*>> out{{"exp_avg", &first_[i]}, {"exp_avg_sq", &second_[i]}};
  if (options_.amsgrad) out.emplace_back("max_exp_avg_sq", &largest_[i]);
  return out;
}

void Adam::update(std::size_t i, Tensor& parameter, const Tensor& gradient) {
  if (!first_[i].defined()) {
    first_[i] = zeros_like(parameter);
    second_[i] = zeros_like(parameter);
    if (options_.amsgrad) largest_[i] = zeros_like(parameter);
  }
  const auto t = static_cast<double>(++steps_[i]);
  each(parameter, [&]<class T>() {
    const AdamStep<T> step{
        .p = parameter.mutable_data<T>().data(),
        .g = gradient.data<T>().data(),
        .m = first_[i].mutable_data<T>().data(),
        .v = second_[i].mutable_data<T>().data(),
        .top = options_.amsgrad ? largest_[i].mutable_data<T>().data() : nullptr,
        .c1 = static_cast<T>(1 - options_.beta1),
        .b2 = static_cast<T>(options_.beta2),
        .c2 = static_cast<T>(1 - options_.beta2),
        .eps = static_cast<T>(options_.eps),
        .rate = static_cast<T>(-lr() / (1 - std::pow(options_.beta1, t))),
        .scale = static_cast<T>(std::pow(1 - std::pow(options_.beta2, t), 0.5)),  // pow: the bits of Python's ** 0.5
        .coupled = static_cast<T>(decoupled_ ? 0 : options_.weight_decay),
        .shrink = static_cast<T>(decoupled_ ? 1 - lr() * options_.weight_decay : 1)};
    parallel_for(parameter.numel(), kGrain, [&](Rows rows) { run(step, rows); });
  });
}

}  // namespace coppice::nn
