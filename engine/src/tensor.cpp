#include "coppice/engine/tensor.h"

#include <algorithm>
#include <cstring>

#include "coppice/engine/ops/quantized.h"
#include "ops/op_rows.h"
#include "quant/quantized_as.h"
#include "tensor_impl.h"

namespace coppice {
namespace {

Tensor make(std::shared_ptr<Storage> storage, std::size_t offset, Shape shape, Dtype dtype, QParamsPtr qparams) {
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = std::move(storage);
  impl->offset = offset;
  impl->shape = std::move(shape);
  impl->dtype = dtype;
  impl->qparams = std::move(qparams);
  return Tensor(std::move(impl));
}

std::size_t byte_count(const Shape& shape, Dtype dtype) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<std::size_t>(shape.numel()), itemsize(dtype), &bytes))
    throw LimitError(cat("[Tensor] ", shape, " of ", dtype, " exceeds the address space"));
  return dtype == Dtype::quint4x2 ? bytes / 2 : bytes;
}

/// Parameters belong to quantised types, and to these alone.
void check_qparams(std::string_view op, const Shape& shape, Dtype dtype, const QParamsPtr& qparams) {
  if (qparams != nullptr)
    qparams->check(op, shape, dtype);
  else if (is_quantized(dtype) && detail::running_op != nullptr)
    detail::refuse_quantized(dtype);  // the operation that would lose the parameters
  else if (is_quantized(dtype))
    throw DtypeError(cat("[", op, "] a ", dtype, " tensor needs a scale and a zero point"));
}

/// The parameters of a tensor that shows the elements of `from` as `target`.
QParamsPtr reshaped(const TensorImpl& from, const Shape& target) {
  if (from.qparams == nullptr || !from.qparams->per_channel()) return from.qparams;
  if (from.dtype == Dtype::quint4x2 && target[-1] % 2 != 0)
    throw ShapeError(cat("[reshape] quint4x2 needs an even last size, two values to a byte; got ", target));
  const std::int64_t axis = from.qparams->axis();
  if (axis < target.rank() &&
      std::ranges::equal(from.shape.begin(), from.shape.begin() + axis + 1, target.begin(), target.begin() + axis + 1))
    return from.qparams;
  throw ShapeError(cat("[reshape] ", from.shape, " has a scale for each index of axis ", axis, ", which ", target,
                       " does not keep"));
}

std::int64_t flat_index(const Shape& shape, std::initializer_list<std::int64_t> index) {
  if (static_cast<std::int64_t>(index.size()) != shape.rank())
    throw IndexError(cat("[Tensor] ", index.size(), " indices for shape ", shape));
  std::int64_t flat = 0;
  std::int64_t axis = 0;
  for (std::int64_t i : index) {
    const std::int64_t size = shape[axis++];
    if (i < -size || i >= size) throw IndexError(cat("[Tensor] index ", i, " is outside an axis of size ", size));
    flat = flat * size + (i < 0 ? i + size : i);
  }
  return flat;
}

/// `sizes` with -1, once at most, worked out for the elements of `t`.
Shape resolved(const Tensor& t, std::vector<std::int64_t> sizes) {
  const auto open = std::ranges::find(sizes, -1);
  if (open == sizes.end()) return Shape(std::move(sizes));
  *open = 1;
  const std::int64_t known = Shape(sizes).numel();
  if (std::ranges::count(sizes, -1) > 0 || known == 0 || t.numel() % known != 0)
    throw ShapeError(cat("[reshape] cannot work out the size -1 for ", t.numel(), " elements of shape ", t.shape()));
  *open = t.numel() / known;
  return Shape(std::move(sizes));
}

constexpr AttributeRow kTo[] = {{"dtype", AttributeKind::text}};
constexpr AttributeRow kReshape[] = {{"shape", AttributeKind::integers}};
TensorList clone_from(rows::In in, rows::With) { return {in[0].clone()}; }
TensorList to_from(rows::In in, rows::With a) { return {in[0].to(rows::dtype("to", a))}; }
TensorList reshape_from(rows::In in, rows::With a) { return {in[0].reshape(resolved(in[0], a.integers("shape")))}; }

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpFlags kFlags = OpFlags::differentiable | OpFlags::zero_to_zero;
constexpr OpRow kCloneRow =
    rows::row("clone", "torch.clone", "Identity", "input", {}, kFlags | OpFlags::elementwise, clone_from);
constexpr OpRow kToRow =
    rows::row("to", "torch.Tensor.to", "Cast", "input", kTo, kFlags | OpFlags::elementwise, to_from);
constexpr OpRow kReshapeRow = rows::row("reshape", "torch.reshape|torch.Tensor.view", "Reshape", "input", kReshape,
                                        kFlags | OpFlags::shares_storage, reshape_from);

}  // namespace

rows::Rows rows::tensor() {
  static constexpr const OpRow* kRows[] = {&kCloneRow, &kToRow, &kReshapeRow};
  return kRows;
}

Tensor Tensor::empty(const Shape& shape, Dtype dtype, QParamsPtr qparams) {
  check_qparams("Tensor::empty", shape, dtype, qparams);
  return make(Storage::allocate(byte_count(shape, dtype)), 0, shape, dtype, std::move(qparams));
}

Tensor Tensor::over(std::shared_ptr<Storage> storage, std::size_t offset_bytes, const Shape& shape, Dtype dtype,
                    QParamsPtr qparams) {
  check_qparams("Tensor::over", shape, dtype, qparams);
  const std::size_t bytes = byte_count(shape, dtype);
  if (storage == nullptr) throw ValueError("[Tensor::over] there is no storage");
  if (offset_bytes > storage->bytes() || bytes > storage->bytes() - offset_bytes)
    throw ValueError(
        cat("[Tensor::over] ", bytes, " bytes at ", offset_bytes, " exceed a storage of ", storage->bytes(), " bytes"));
  if (reinterpret_cast<std::uintptr_t>(storage->data() + offset_bytes) % itemsize(dtype) != 0)
    throw ValueError(cat("[Tensor::over] offset ", offset_bytes, " is not aligned for ", dtype));
  return make(std::move(storage), offset_bytes, shape, dtype, std::move(qparams));
}

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape) {
  if (static_cast<std::int64_t>(values.size()) != shape.numel())
    throw ShapeError(cat("[Tensor::from] ", values.size(), " values for shape ", shape));
  Tensor t = empty(shape, dtype_of<T>);
  if (!values.empty()) std::memcpy(t.mutable_bytes(), values.data(), values.size_bytes());
  return t;
}
template Tensor Tensor::from(std::span<const float>, const Shape&);
template Tensor Tensor::from(std::span<const double>, const Shape&);
template Tensor Tensor::from(std::span<const Half>, const Shape&);
template Tensor Tensor::from(std::span<const BFloat16>, const Shape&);
template Tensor Tensor::from(std::span<const std::int8_t>, const Shape&);
template Tensor Tensor::from(std::span<const std::uint8_t>, const Shape&);
template Tensor Tensor::from(std::span<const std::int16_t>, const Shape&);
template Tensor Tensor::from(std::span<const std::int32_t>, const Shape&);
template Tensor Tensor::from(std::span<const std::int64_t>, const Shape&);
template Tensor Tensor::from(std::span<const bool>, const Shape&);

Tensor Tensor::of(double value) { return from(std::vector<float>{static_cast<float>(value)}, Shape{}); }

Tensor Tensor::of(std::initializer_list<double> values) {
  return from(std::vector<float>(values.begin(), values.end()), Shape{static_cast<std::int64_t>(values.size())});
}

Tensor Tensor::of(std::initializer_list<std::initializer_list<double>> rows) {
  std::vector<float> flat;
  const std::size_t width = rows.size() == 0 ? 0 : rows.begin()->size();
  for (const auto& r : rows) {
    if (r.size() != width) throw ShapeError(cat("[Tensor::of] rows of ", width, " and ", r.size(), " values"));
    flat.insert(flat.end(), r.begin(), r.end());
  }
  return from(flat, Shape{static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(width)});
}

const Shape& Tensor::shape() const { return deref(*this, "shape").shape; }
Dtype Tensor::dtype() const { return deref(*this, "dtype").dtype; }
std::size_t Tensor::nbytes() const { return byte_count(shape(), dtype()); }
const QParamsPtr& Tensor::qparams() const { return deref(*this, "qparams").qparams; }
const std::byte* Tensor::bytes() const { return deref(*this, "bytes").storage->data() + impl_->offset; }

std::byte* Tensor::mutable_bytes() {
  bump_version();
  return impl_->storage->data() + impl_->offset;
}

void* Tensor::checked(Dtype wanted) const {
  if (dtype() != wanted) throw DtypeError(cat("[Tensor] elements are ", dtype(), ", not ", wanted));
  return impl_->storage->data() + impl_->offset;
}

void Tensor::bump_version() { deref(*this, "mutable_bytes").storage->bump_version(); }

double Tensor::at(std::initializer_list<std::int64_t> index) const {
  const auto i = static_cast<std::size_t>(flat_index(shape(), index));
  if (is_quantized()) return quant::element(*this, static_cast<std::int64_t>(i));
  return dispatch(dtype(), [&]<class T>() { return convert<double>(data<T>()[i]); });
}

void Tensor::set_(std::initializer_list<std::int64_t> index, double value) {
  const auto i = static_cast<std::size_t>(flat_index(shape(), index));
  if (is_quantized()) {
    quant::set_element(*this, static_cast<std::int64_t>(i), static_cast<float>(value));
    return;
  }
  dispatch(dtype(), [&]<class T>() { mutable_data<T>()[i] = convert<T>(value); });
}

template <class T>
T Tensor::item() const {
  if (numel() != 1) throw ShapeError(cat("[Tensor::item] needs one element; shape is ", shape()));
  if (is_quantized()) return convert<T>(quant::element(*this, 0));
  return dispatch(dtype(), [&]<class From>() { return convert<T>(data<From>()[0]); });
}
template float Tensor::item() const;
template double Tensor::item() const;
template std::int64_t Tensor::item() const;
template int Tensor::item() const;
template bool Tensor::item() const;

template <class T>
std::vector<T> Tensor::to_vector() const {
  if (is_quantized()) return dequantize(*this).to_vector<T>();
  std::vector<T> out(static_cast<std::size_t>(numel()));
  dispatch(dtype(), [&]<class From>() { std::ranges::transform(data<From>(), out.begin(), convert<T, From>); });
  return out;
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<std::int64_t> Tensor::to_vector() const;

bool Tensor::shares_storage(const Tensor& other) const {
  return deref(*this, "shares_storage").storage == deref(other, "shares_storage").storage;
}
std::uint64_t Tensor::version() const { return deref(*this, "version").storage->version(); }
const std::shared_ptr<Storage>& Tensor::storage() const { return deref(*this, "storage").storage; }
std::size_t Tensor::storage_offset() const { return deref(*this, "storage_offset").offset; }

Tensor Tensor::detach() const {
  const TensorImpl& from = deref(*this, "detach");
  return make(from.storage, from.offset, from.shape, from.dtype, from.qparams);
}

Tensor Tensor::clone() const {
  const Op op(kCloneRow);
  Tensor y = empty(shape(), dtype(), qparams());
  if (numel() > 0) std::memcpy(y.mutable_bytes(), bytes(), nbytes());
  return op.with_grad(std::move(y), {*this}, [] { return [](const Tensor& dy) { return GradList{dy}; }; });
}

Tensor Tensor::to(Dtype target) const {
  const Op op(kToRow, [target](Arguments& a) { a.set("dtype", std::string(name_of(target))); });
  if (target == dtype()) return op.result(*this, {*this});
  if (coppice::is_quantized(target))
    throw DtypeError(cat("[to] ", dtype(), " becomes ", target, " by quantize_per_tensor() or quantize_per_channel()"));
  Tensor y = empty(shape(), target);
  dispatch(dtype(), [&]<class From>() {
    dispatch(target, [&]<class To>() {
      std::ranges::transform(data<From>(), y.mutable_data<To>().begin(), convert<To, From>);
    });
  });
  if (!is_floating(target)) return op.result(std::move(y), {*this});
  return op.with_grad(std::move(y), {*this},
                      [&] { return [source = dtype()](const Tensor& dy) { return GradList{dy.to(source)}; }; });
}

Tensor Tensor::reshape(std::initializer_list<std::int64_t> sizes) const {
  // As it was asked for: a graph that takes other sizes needs the -1.
  const Op op(kReshapeRow, [&](Arguments& a) { a.set("shape", std::vector<std::int64_t>(sizes)); });
  return op.result(reshape(resolved(*this, sizes)), {*this});
}

Tensor Tensor::reshape(const Shape& target) const {
  const TensorImpl& from = deref(*this, "reshape");
  if (target.numel() != from.shape.numel())
    throw ShapeError(
        cat("[reshape] ", from.shape, " has ", from.shape.numel(), " elements, ", target, " has ", target.numel()));
  const Op op(kReshapeRow,
              [&target](Arguments& a) { a.set("shape", std::vector<std::int64_t>(target.begin(), target.end())); });
  return op.with_grad(make(from.storage, from.offset, target, from.dtype, reshaped(from, target)), {*this},
                      [&] { return [source = from.shape](const Tensor& dy) { return GradList{dy.reshape(source)}; }; });
}

}  // namespace coppice
