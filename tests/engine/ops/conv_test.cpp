// Convolutions against the sum that defines them, at sizes where windows leave the input in every way.
#include <doctest/doctest.h>

#include "coppice/engine.h"

using namespace coppice;

namespace {

/// Whole numbers in -3..3, so that every sum is exact in any order.
Tensor whole(const Shape& shape, std::int64_t salt) {
  Tensor t = Tensor::empty(shape, Dtype::f64);
  std::int64_t i = salt;
  for (double& v : t.mutable_data<double>()) v = static_cast<double>(++i * 5 % 7 - 3);
  return t;
}

/// What the convolution of `g` and its gradients for `dy` are by definition.
struct Reference {
  std::vector<double> y, dx, dw;

  Reference(const ConvGeometry& g, const Tensor& x, const Tensor& w, const Tensor& dy)
      : y(static_cast<std::size_t>(dy.numel())),
        dx(static_cast<std::size_t>(x.numel())),
        dw(static_cast<std::size_t>(w.numel())) {
    const auto px = x.data<double>(), pw = w.data<double>(), pdy = dy.data<double>();
    const std::int64_t in = g.in_channels / g.groups, out = g.out_channels / g.groups;
    const auto& k = g.kernel;
    std::size_t to = 0;
    for (std::int64_t n = 0; n < g.batch; ++n)
      for (std::int64_t o = 0; o < g.out_channels; ++o)
        for (std::int64_t p = 0; p < g.positions(); ++p, ++to)
          for (std::int64_t c = 0; c < in; ++c)
            for (std::int64_t t = 0; t < k[0] * k[1] * k[2]; ++t) {
              const std::int64_t d = at(g, 0, p / g.output[2] / g.output[1], t / k[2] / k[1]);
              const std::int64_t h = at(g, 1, p / g.output[2] % g.output[1], t / k[2] % k[1]);
              const std::int64_t v = at(g, 2, p % g.output[2], t % k[2]);
              if (d < 0 || h < 0 || v < 0) continue;
              const auto i = static_cast<std::size_t>(
                  (((n * g.in_channels + o / out * in + c) * g.input[0] + d) * g.input[1] + h) * g.input[2] + v);
              const auto j = static_cast<std::size_t>((o * in + c) * k[0] * k[1] * k[2] + t);
              y[to] += px[i] * pw[j];
              dx[i] += pdy[to] * pw[j];
              dw[j] += pdy[to] * px[i];
            }
  }

  /// Where tap `t` of the window at `position` falls, or -1 outside the input.
  static std::int64_t at(const ConvGeometry& g, std::size_t axis, std::int64_t position, std::int64_t t) {
    const std::int64_t i = position * g.stride[axis] - g.padding[axis] + t * g.dilation[axis];
    return i < g.input[axis] ? std::max<std::int64_t>(i, -1) : -1;
  }
};

Tensor conv(int spatial, const Tensor& x, const Tensor& w, const ConvOptions& options) {
  return spatial == 1   ? conv1d(x, w, {}, options)
         : spatial == 2 ? conv2d(x, w, {}, options)
                        : conv3d(x, w, {}, options);
}

/// Compares forward pass and both gradients in double; the forward pass in float as well. Counts in `done`.
void compare(int spatial, std::vector<std::int64_t> input, std::vector<std::int64_t> kernel, ConvOptions options,
             int& done) {
  input.insert(input.begin(), {2, 2 * options.groups});
  kernel.insert(kernel.begin(), {2 * options.groups, 2});
  const Shape sx(input), sw(kernel);
  for (std::size_t i = 0; i < static_cast<std::size_t>(spatial); ++i) {
    const auto of = [&](const std::vector<std::int64_t>& list) { return list[list.size() == 1 ? 0 : i]; };
    if (input[i + 2] + 2 * of(options.padding) < of(options.dilation) * (kernel[i + 2] - 1) + 1) return;
  }
  const ConvGeometry g = conv_geometry("conv", spatial, sx, sw, options);
  Tensor x = whole(sx, 1), w = whole(sw, 2);
  const Tensor dy = whole(conv_result_shape(g, spatial), 3);
  const Reference wanted(g, x, w, dy);
  x.requires_grad_(true), w.requires_grad_(true);
  const Tensor y = conv(spatial, x, w, options);
  sum(y * dy).backward();
  const Tensor single = conv(spatial, x.detach().to(Dtype::f32), w.detach().to(Dtype::f32), options).to(Dtype::f64);
  const auto lists = [](const std::vector<std::int64_t>& list) { return to_string(Shape(list)); };
  if (y.to_vector<double>() != wanted.y || single.to_vector<double>() != wanted.y ||
      x.grad().to_vector<double>() != wanted.dx || w.grad().to_vector<double>() != wanted.dw)
    FAIL_CHECK(cat("x ", sx, " weight ", sw, " stride ", lists(options.stride), " padding ", lists(options.padding),
                   " dilation ", lists(options.dilation), " groups ", options.groups));
  ++done;
}

}  // namespace

TEST_SUITE("engine/conv") {
  TEST_CASE("two axes: the sum that defines it, however far the taps lie outside") {
    int done = 0;
    for (const auto& [h, w] : std::vector<std::array<std::int64_t, 2>>{{1, 1}, {1, 4}, {3, 1}, {2, 3}, {4, 5}})
      for (const auto& [kh, kw] : std::vector<std::array<std::int64_t, 2>>{{1, 1}, {1, 3}, {2, 2}, {3, 3}, {3, 5}})
        for (const std::int64_t dilation : {1, 2, 3, 6, 9})
          for (const std::int64_t padding : {0, 1, 2, 3, 6, 9, 18})
            for (const std::int64_t stride : {1, 2, 5})
              compare(2, {h, w}, {kh, kw}, {{stride}, {padding}, {dilation}, stride == 2 ? 2 : 1}, done);
    CHECK(done > 1000);
  }

  TEST_CASE("two axes with settings of their own") {
    int done = 0;
    for (const std::int64_t a : {1, 4, 7})
      for (const std::int64_t b : {1, 4, 7})
        for (const std::int64_t more : {0, 1, 2}) compare(2, {3, 4}, {3, 3}, {{1}, {a, b + more}, {a, b}, 1}, done);
    CHECK(done > 10);
  }

  TEST_CASE("one and three axes") {
    int done = 0;
    for (const std::int64_t size : {1, 2, 5})
      for (const std::int64_t kernel : {1, 2, 3})
        for (const std::int64_t dilation : {1, 2, 4, 7})
          for (const std::int64_t padding : {0, 1, 2, 4, 7})
            for (const std::int64_t stride : {1, 3}) {
              compare(1, {size}, {kernel}, {{stride}, {padding}, {dilation}, 2}, done);
              compare(3, {2, 1, size}, {1, 2, kernel}, {{stride}, {padding}, {dilation}, 1}, done);
            }
    CHECK(done > 300);
  }

  TEST_CASE("padding of the dilation, larger than the input: the middle tap alone") {
    const Tensor line = whole({1, 1, 60}, 1), plane = whole({1, 1, 8, 8}, 2);
    CHECK(conv1d(line, ones({1, 1, 3}, Dtype::f64), {}, {{1}, {512}, {512}, 1}) == line);
    CHECK(conv2d(plane, ones({1, 1, 3, 3}, Dtype::f64), {}, {{1}, {1'000'000}, {1'000'000}, 1}) == plane);
  }

  TEST_CASE("sizes that no memory holds are refused at once") {
    const Tensor x = ones({1, 1, 2, 2, 2}), w = ones({1, 1, 1, 1, 1});
    const std::int64_t most = INT32_MAX;
    CHECK_THROWS_AS((void)conv3d(x, w, {}, {{1}, {most}, {1}, 1}), LimitError);
    CHECK_THROWS_AS((void)conv3d(ones({0, 1, 2, 2, 2}), w, {}, {{1}, {most}, {1}, 1}), LimitError);
    CHECK_THROWS_AS((void)conv2d(ones({1, 1, 2, 2}), ones({1, 1, 1, 1}), {}, {{1}, {most}, {1}, 1}), LimitError);
    CHECK_THROWS_AS((void)conv1d(ones({1, 1, 2}), Tensor::empty({0, 1, std::int64_t{1} << 61}), {}, {{1}, {1}, {8}, 1}),
                    ShapeError);
    CHECK_THROWS_WITH_AS((void)conv1d(ones({1, 1, 2}), ones({1, 1, 1}), {}, {{1}, {most + 1}, {1}, 1}),
                         "[conv1d] padding must be in 0..2147483647; got 2147483648", ValueError);
  }
}
