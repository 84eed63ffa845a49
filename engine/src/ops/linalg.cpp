#include "coppice/engine/ops/linalg.h"

#include "broadcast.h"
#include "coppice/engine/autograd.h"
#include "coppice/engine/ops/reduce.h"
#include "gemm.h"
#include "ops/map.h"
#include "ops/op_rows.h"

namespace coppice {
namespace {

Dtype common_dtype(const char* op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || !is_floating(a.dtype()))
    throw DtypeError(cat("[", op, "] needs equal floating types; got ", a.dtype(), " and ", b.dtype()));
  return a.dtype();
}

/// op(a) op(b) (+ bias) of matrices in one floating type, without gradient. `bias` is added to every row.
Tensor product(const Tensor& a, bool trans_a, const Tensor& b, bool trans_b, const Tensor& bias = Tensor()) {
  const Dtype outer = a.dtype();
  const Dtype inner = detail::compute_dtype(outer);
  const Tensor p = a.detach().to(inner);
  const Tensor q = b.detach().to(inner);
  const Tensor r = bias.defined() ? bias.detach().to(inner) : bias;
  const std::int64_t m = a.size(trans_a ? 1 : 0);
  const std::int64_t n = b.size(trans_b ? 0 : 1);
  Tensor y = Tensor::empty({m, n}, inner);
  detail::dispatch_float(inner, [&]<class T>() {
    kernels::Gemm<T> g;
    g.m = m, g.n = n, g.k = a.size(trans_a ? 0 : 1);
    g.a = p.data<T>().data(), g.lda = p.size(1), g.trans_a = trans_a;
    g.b = q.data<T>().data(), g.ldb = q.size(1), g.trans_b = trans_b;
    g.c = y.mutable_data<T>().data(), g.ldc = n;
    g.row_bias = r.defined() ? r.data<T>().data() : nullptr;
    kernels::gemm(g);
  });
  return y.to(outer);
}

constexpr OpFlags kProduct = OpFlags::differentiable | OpFlags::zero_to_zero;
TensorList linear_from(rows::In in, rows::With) { return {linear(in[0], in[1], rows::input(in, 2))}; }

// name, PyTorch, ONNX, inputs, attributes, flags, call
constexpr OpRow kMatmulRow =
    rows::row("matmul", "torch.matmul|operator.matmul", "MatMul", "input other", {}, kProduct, rows::kTwo<matmul>);
constexpr OpRow kLinearRow =
    rows::row("linear", "torch.nn.functional.linear", "Gemm|MatMul", "input weight [bias]", {}, kProduct, linear_from);

/// [m, k] x [k, n] -> [m, n]
Tensor matmul2(const Tensor& a, const Tensor& b) {
  const Op op(kMatmulRow);
  return op.with_grad(product(a, false, b, false), {a, b}, [&] {
    return [sa = Saved(a), sb = Saved(b), want_a = a.requires_grad(), want_b = b.requires_grad()](const Tensor& dy) {
      return GradList{want_a ? product(dy, false, sb(), true) : Tensor(),   // da = dy bᵀ
                      want_b ? product(sa(), true, dy, false) : Tensor()};  // db = aᵀ dy
    };
  });
}

Shape batch_of(const Tensor& t) { return Shape(t.shape().sizes().first(static_cast<std::size_t>(t.dim() - 2))); }

Shape with_matrix(const Shape& batch, std::int64_t rows, std::int64_t cols) {
  std::vector<std::int64_t> sizes(batch.begin(), batch.end());
  sizes.insert(sizes.end(), {rows, cols});
  return Shape(std::move(sizes));
}

/// Batched op(a) op(b) with broadcast batches, without gradient.
Tensor batched(const Tensor& a, bool trans_a, const Tensor& b, bool trans_b) {
  const Shape batch = broadcast("matmul", batch_of(a), batch_of(b));
  const Tensor p = expand(a.detach(), with_matrix(batch, a.size(-2), a.size(-1)));
  const Tensor q = expand(b.detach(), with_matrix(batch, b.size(-2), b.size(-1)));
  const Shape flat{batch.numel()};
  const Tensor p3 = p.reshape(with_matrix(flat, a.size(-2), a.size(-1)));
  const Tensor q3 = q.reshape(with_matrix(flat, b.size(-2), b.size(-1)));
  const std::int64_t m = a.size(trans_a ? -1 : -2);
  const std::int64_t n = b.size(trans_b ? -2 : -1);
  Tensor y = Tensor::empty(with_matrix(flat, m, n), a.dtype());
  const auto matrix = [](const Tensor& t, std::int64_t i) {
    return Tensor::over(t.storage(),
                        t.storage_offset() + static_cast<std::size_t>(i * t.size(1) * t.size(2)) * itemsize(t.dtype()),
                        Shape{t.size(1), t.size(2)}, t.dtype());
  };
  for (std::int64_t i = 0; i < batch.numel(); ++i)
    matrix(y, i).copy_(product(matrix(p3, i), trans_a, matrix(q3, i), trans_b));
  return y.reshape(with_matrix(batch, m, n));
}

/// A vector times matrices, as a matrix of one row.
Tensor row_times(const Tensor& a, const Tensor& b) {
  const Tensor y = matmul(a.reshape(Shape{1, a.numel()}), b);
  std::vector<std::int64_t> sizes(y.shape().begin(), y.shape().end());
  sizes.erase(sizes.end() - 2);
  return y.reshape(Shape(std::move(sizes)));
}

/// Matrices times a vector, as a matrix of one column.
Tensor times_column(const Tensor& a, const Tensor& b) {
  const Tensor y = matmul(a, b.reshape(Shape{b.numel(), 1}));
  return y.reshape(Shape(y.shape().sizes().first(static_cast<std::size_t>(y.dim() - 1))));
}

}  // namespace

rows::Rows rows::linalg() {
  static constexpr const OpRow* kRows[] = {&kMatmulRow, &kLinearRow};
  return kRows;
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  const Op op(kMatmulRow);
  common_dtype("matmul", a, b);
  const std::int64_t inner_b = b.dim() == 1 ? 0 : -2;
  if (a.dim() == 0 || b.dim() == 0 || a.size(-1) != b.size(inner_b))
    throw ShapeError(cat("[matmul] needs a: [.., m, k] and b: [.., k, n]; got a: ", a.shape(), " and b: ", b.shape()));
  if (a.dim() == 1 && b.dim() == 1)
    return op.result(matmul2(a.reshape({1, -1}), b.reshape({-1, 1})).reshape(Shape{}), {a, b});
  if (a.dim() == 1) return op.result(row_times(a, b), {a, b});
  if (b.dim() == 1) return op.result(times_column(a, b), {a, b});
  if (a.dim() == 2 && b.dim() == 2) return op.result(matmul2(a, b), {a, b});
  return op.with_grad(batched(a, false, b, false), {a, b}, [&] {
    return [sa = Saved(a), sb = Saved(b)](const Tensor& dy) {
      return GradList{sum_to(batched(dy, false, sb(), true), sa().shape()),
                      sum_to(batched(sa(), true, dy, false), sb().shape())};
    };
  });
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const Op op(kLinearRow);
  if (x.dim() < 1 || weight.dim() != 2 || x.size(-1) != weight.size(1))
    throw ShapeError(
        cat("[linear] needs x: [.., in] and weight: [out, in]; got x: ", x.shape(), " and weight: ", weight.shape()));
  if (bias.defined() && bias.shape() != Shape{weight.size(0)})
    throw ShapeError(cat("[linear] bias must be (", weight.size(0), ",); got ", bias.shape()));
  common_dtype("linear", x, weight);
  if (bias.defined()) common_dtype("linear", x, bias);
  std::vector<std::int64_t> sizes(x.shape().begin(), x.shape().end());
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) rows *= sizes[i];
  sizes.back() = weight.size(0);
  const Shape flat{rows, x.size(-1)};
  Tensor y = product(x.detach().reshape(flat), false, weight, true, bias).reshape(Shape(std::move(sizes)));
  return op.with_grad(std::move(y), {x, weight, bias}, [&] {
    return [sx = Saved(x), sw = Saved(weight), flat, want_x = x.requires_grad(), want_w = weight.requires_grad(),
            want_b = bias.defined() && bias.requires_grad()](const Tensor& dy) {
      const Tensor g = dy.reshape(Shape{flat[0], sw().size(0)});
      return GradList{want_x ? product(g, false, sw(), false).reshape(sx().shape()) : Tensor(),
                      want_w ? product(g, true, sx().reshape(flat), false) : Tensor(),  // dyᵀ x
                      want_b ? sum(g, {0}) : Tensor()};
    };
  });
}

}  // namespace coppice
