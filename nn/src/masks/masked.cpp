#include "coppice/nn/masks/masked.h"

#include <mutex>

#include "coppice/engine/autograd.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/engine/parallel.h"
#include "coppice/nn/masks/families.h"
#include "coppice/nn/masks/names.h"
#include "coppice/nn/slots.h"
#include "masks/derived_mask.h"

namespace coppice::nn {
namespace {

constexpr std::int64_t kGrain = 1 << 15;

/// Whether `from` broadcasts to `to` itself.
bool broadcasts(const Shape& from, const Shape& to) {
  if (from.rank() > to.rank()) return false;
  for (std::int64_t axis = 1; axis <= from.rank(); ++axis)
    if (from[-axis] != 1 && from[-axis] != to[-axis]) return false;
  return true;
}

/// `t` repeated to a shape that it broadcasts to; `t` itself where that is its own.
Tensor repeated(const Tensor& t, const Shape& shape) {
  if (t.shape() == shape) return t;
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(shape.rank() - t.dim()), 1);
  sizes.insert(sizes.end(), t.shape().begin(), t.shape().end());
  Tensor out = t.detach().reshape(Shape(sizes));
  for (std::int64_t axis = 0; axis < shape.rank(); ++axis)
    if (out.size(axis) != shape[axis]) out = index_select(out, axis, zeros({shape[axis]}, Dtype::i64));
  return out;
}

/// The numbers of mask * orig, outside any graph.
Tensor product(const Tensor& orig, const Tensor& mask) {
  if (orig.shape() != mask.shape())  // somebody replaced one of the two
    throw ShapeError(cat("[mask] mask ", mask.shape(), " for a tensor of shape ", orig.shape()));
  NoGrad guard;
  const Tensor m = mask.to(orig.dtype());
  Tensor y = Tensor::empty(orig.shape(), orig.dtype());
  dispatch(orig.dtype(), [&]<class T>() {
    using A = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;
    const T* p = orig.data<T>().data();
    const T* q = m.data<T>().data();
    T* to = y.mutable_data<T>().data();
    parallel_for(y.numel(), kGrain, [=](Rows r) {
      for (std::int64_t i = r.begin; i < r.end; ++i) {
        if constexpr (std::is_same_v<T, bool>) {
          to[i] = q[i] && p[i];
        } else if constexpr (std::is_integral_v<T>) {  // wraps around, as in PyTorch: signed overflow is undefined
          using U = std::make_unsigned_t<std::common_type_t<T, int>>;
          to[i] = static_cast<T>(static_cast<U>(q[i]) * static_cast<U>(p[i]));
        } else {
          to[i] = convert<T>(static_cast<A>(convert<A>(q[i]) * convert<A>(p[i])));
        }
      }
    });
  });
  return y;
}

/// `values` as the result of masking `orig`: the mask alone is needed for the gradient.
Tensor attach(const Tensor& values, const Tensor& orig, const Tensor& mask) {
  if (!needs_grad({orig})) return values.detach();  // a handle of the reader's own: the remembered one stays as it is
  return with_grad(values.detach(), {orig}, [m = Saved(mask)](const Tensor& dy) { return GradList{product(dy, m())}; });
}

/// What a tensor showed when it was read.
class Seen {
 public:
  Seen() = default;
  explicit Seen(const Tensor& t)
      : storage_(t.storage()),
        offset_(t.storage_offset()),
        shape_(t.shape()),
        dtype_(t.dtype()),
        version_(t.version()) {}
  /// Whether it shows the same numbers still.
  [[nodiscard]] bool same(const Tensor& t) const {
    return storage_ == t.storage() && version_ == t.version() && offset_ == t.storage_offset() && dtype_ == t.dtype() &&
           shape_ == t.shape();
  }

 private:
  std::shared_ptr<Storage> storage_;  // held, so that its address cannot be another storage's later
  std::size_t offset_ = 0;
  Shape shape_;
  Dtype dtype_ = Dtype::f32;
  std::uint64_t version_ = 0;
};

/// Remembers the product until the mask or the original changes.
class Masked final : public Derived {
 public:
  Masked(std::string name, std::shared_ptr<const MaskOrigin> origin)
      : name_(std::move(name)), origin_(std::move(origin)) {}
  [[nodiscard]] const std::shared_ptr<const MaskOrigin>& origin() const { return origin_; }

  Tensor value(const Module& owner) const override {
    const Tensor orig = owner.tensor(original_of(name_));
    const Tensor mask = owner.tensor(mask_of(name_));
    Tensor values;
    {
      const std::lock_guard lock(mutex_);
      if (!product_.defined() || !orig_.same(orig) || !mask_.same(mask) ||
          product_.version() != product_version_) {  // the last: a reader wrote into what it got
        product_ = product(orig, mask);
        orig_ = Seen(orig), mask_ = Seen(mask);
        product_version_ = product_.version();
      }
      values = product_;
    }
    return attach(values, orig, mask);
  }

  std::shared_ptr<Derived> clone() const override { return std::make_shared<Masked>(name_, origin_); }

  Tensor input(const Module& owner, std::string_view name, const Tensor& wanted) const override {
    if (name != mask_of(name_)) return wanted;
    const Tensor orig = owner.find_tensor(original_of(name_));
    if (!orig.defined()) return wanted;
    if (!wanted.defined() || !broadcasts(wanted.shape(), orig.shape()))
      throw ShapeError(cat("[set_tensor] ", quote(name), " must broadcast to the shape ", orig.shape(), " of ",
                           quote(original_of(name_)), "; got ",
                           wanted.defined() ? to_string(wanted.shape()) : std::string("no tensor")));
    NoGrad guard;
    return repeated(wanted, orig.shape());
  }

 private:
  std::string name_;
  std::shared_ptr<const MaskOrigin> origin_;  // immutable: copies of the module share it
  mutable std::mutex mutex_;
  mutable Tensor product_;
  mutable Seen orig_, mask_;
  mutable std::uint64_t product_version_ = 0;
};

}  // namespace

std::shared_ptr<Derived> derived_mask(std::string name, std::shared_ptr<const MaskOrigin> origin) {
  return std::make_shared<Masked>(std::move(name), std::move(origin));
}

Tensor apply_mask(const Tensor& orig, const Tensor& mask) {
  if (orig.shape() != mask.shape())
    throw ShapeError(cat("[apply_mask] mask ", mask.shape(), " for a tensor of shape ", orig.shape()));
  return attach(product(orig, mask), orig, mask);
}

bool is_masked(const Module& module, std::string_view name) {
  const auto* found = module.derived().find(name);
  return found != nullptr && dynamic_cast<const Masked*>(found->get()) != nullptr;
}

std::shared_ptr<const MaskOrigin> mask_origin(const Module& module, std::string_view name) {
  if (!is_masked(module, name))
    throw StateError(cat("[mask_origin] ", quote(name), " of ", module.type_name(), " has no mask"));
  return static_cast<const Masked&>(**module.derived().find(name)).origin();
}

void set_mask(Module& module, std::string_view name, const Tensor& mask, std::shared_ptr<const MaskOrigin> origin) {
  const bool again = is_masked(module, name);
  const std::string key(name);
  const std::string orig = original_of(name);
  const std::string bits = mask_of(name);
  // The original may itself be masked ("weight_orig" of a pruned weight): then it is derived, not a parameter.
  const Tensor before = again                                    ? module.find_tensor(orig)
                        : module.own_parameters().contains(name) ? *module.own_parameters().find(name)
                                                                 : Tensor();
  if (!before.defined()) throw KeyError(cat("[set_mask] ", module.type_name(), " has no parameter ", quote(name)));
  if (mask.shape() != before.shape())
    throw ShapeError(cat("[set_mask] mask ", mask.shape(), " for ", quote(name), " of shape ", before.shape()));
  if (!again && (module.has(orig) || module.has(bits)))
    throw KeyError(cat("[set_mask] ", module.type_name(), " already has ", quote(orig), " or ", quote(bits)));
  auto derived = derived_mask(key, std::move(origin));
  if (again) {
    module.register_buffer(bits, mask);
    module.slots().replace_derived(key, std::move(derived));
    return;
  }
  module.register_buffer(bits, mask);
  try {
    module.slots().derive(key, std::move(derived), orig);
  } catch (...) {
    module.slots().erase(bits);
    throw;
  }
}

void attach_mask(Module& module, std::string_view name, const Tensor& mask) {
  NoGrad guard;
  const bool again = is_masked(module, name);
  const Tensor value = module.tensor(name);
  Tensor own = mask.to(value.dtype()).clone();
  if (again && own.shape() == value.shape()) own = product(own, module.tensor(mask_of(name)));
  set_mask(module, name, own, again ? mask_origin(module, name) : nullptr);
}

void burn_in_mask(Module& module, std::string_view name) {
  if (!is_masked(module, name))
    throw StateError(cat("[burn_in_mask] ", quote(name), " of ", module.type_name(), " has no mask"));
  const std::string key(name);  // `name` may point into what is erased
  NoGrad guard;
  const Tensor* parameter = module.own_parameters().find(original_of(key));
  if (parameter == nullptr)
    throw StateError(cat("[burn_in_mask] ", quote(original_of(key)), " is masked itself; burn that in first"));
  Tensor orig = *parameter;
  const std::string original = original_of(key), bits = mask_of(key);
  const Tensor values = product(orig, module.tensor(bits));
  std::string plain = key;
  // Nothing from here on takes memory.
  orig.replace_(values);
  module.slots().erase(key);
  module.slots().erase(bits);
  module.slots().rename_parameter(original, std::move(plain));
}

std::vector<MaskedSlot> masked_slots(Module& root) {
  std::vector<MaskedSlot> out = masks_in(root);
  std::erase_if(out, [](const MaskedSlot& s) { return s.fake; });
  return out;
}

}  // namespace coppice::nn
