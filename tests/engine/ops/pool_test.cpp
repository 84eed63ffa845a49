// Pooling whose windows leave the input, miss it, or are larger than anything. Expectations are what PyTorch 2.13 does.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "coppice/engine.h"

using namespace coppice;

namespace {

constexpr std::int64_t kMost = INT32_MAX;
constexpr double kInf = std::numeric_limits<double>::infinity();

/// 1, 2, 3, … in an order without pattern, so that every window has one winner.
Tensor mixed(const Shape& shape) {
  Tensor t = Tensor::empty(shape, Dtype::f64);
  const auto y = t.mutable_data<double>();
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<double>((i * 37 + 11) % 101);
  return t;
}

/// Maxima and means by definition, with their gradients for an output gradient of ones.
struct Reference {
  std::vector<double> max, max_dx, mean, mean_dx;

  Reference(const Tensor& x, const PoolOptions& o, Pair stride, std::int64_t oh, std::int64_t ow)
      : max_dx(static_cast<std::size_t>(x.numel())), mean_dx(max_dx.size()) {
    const auto px = x.data<double>();
    const std::int64_t h = x.size(2), w = x.size(3);
    for (std::int64_t p = 0; p < x.size(1); ++p)
      for (std::int64_t i = 0; i < oh; ++i)
        for (std::int64_t j = 0; j < ow; ++j) {
          double best = -kInf, total = 0;
          std::optional<std::size_t> winner;
          std::vector<std::size_t> members;
          for (std::int64_t a = 0; a < o.kernel[0]; ++a)
            for (std::int64_t b = 0; b < o.kernel[1]; ++b) {
              const std::int64_t r = i * stride[0] - o.padding[0] + a * o.dilation[0];
              const std::int64_t c = j * stride[1] - o.padding[1] + b * o.dilation[1];
              if (r < 0 || r >= h || c < 0 || c >= w) continue;
              const auto at = static_cast<std::size_t>((p * h + r) * w + c);
              members.push_back(at);
              total += px[at];
              if (px[at] > best) best = px[at], winner = at;
            }
          max.push_back(best);
          if (winner) max_dx[*winner] += 1;
          // The divisor counts padding on both sides, not what ceil_mode reaches beyond it.
          const std::int64_t r0 = i * stride[0] - o.padding[0], c0 = j * stride[1] - o.padding[1];
          const auto area = static_cast<double>((std::min(r0 + o.kernel[0], h + o.padding[0]) - r0) *
                                                (std::min(c0 + o.kernel[1], w + o.padding[1]) - c0));
          mean.push_back(total / area);
          for (const std::size_t at : members) mean_dx[at] += 1 / area;
        }
  }
};

bool close(const std::vector<double>& a, const std::vector<double>& b) {
  return std::ranges::equal(a, b, [](double u, double v) { return u == v || std::abs(u - v) < 1e-9; });
}

}  // namespace

TEST_SUITE("engine/pool") {
  TEST_CASE("maxima and means by definition, at sizes around the window") {
    int done = 0;
    for (const auto& [h, w] : std::vector<Pair>{{1, 1}, {1, 6}, {4, 3}, {7, 8}})
      for (const std::int64_t kernel : {1, 2, 3, 5, 8})
        for (std::int64_t padding = 0; padding <= kernel / 2; ++padding)
          for (const std::int64_t dilation : {1, 2, 5, 9})
            for (const std::int64_t stride : {1, 2, 3, 9})
              for (const bool ceil_mode : {false, true}) {
                PoolOptions o{.kernel = {kernel, (kernel + 1) / 2},
                              .stride = Pair{stride, 1},
                              .padding = {padding, padding / 2},
                              .dilation = {dilation, 1},
                              .ceil_mode = ceil_mode};
                Tensor x = mixed({1, 2, h, w});
                x.requires_grad_(true);
                Tensor y;
                try {
                  y = max_pool2d(x, o);
                } catch (const ShapeError&) {
                  continue;
                }
                const Reference wanted(x, o, *o.stride, y.size(2), y.size(3));
                // -inf times 0 would be NaN: windows without an element are left out of the sum.
                sum(where(gt(y, Tensor::of(-1)), y, zeros(y.shape(), Dtype::f64))).backward();
                bool same = y.to_vector<double>() == wanted.max && x.grad().to_vector<double>() == wanted.max_dx &&
                            max_pool2d(x.detach(), o).to_vector<double>() == wanted.max;
                if (dilation == 1) {
                  x.set_grad(Tensor());
                  const Tensor mean = avg_pool2d(x, o);
                  sum(mean).backward();
                  same = same && close(mean.to_vector<double>(), wanted.mean) &&
                         close(x.grad().to_vector<double>(), wanted.mean_dx);
                }
                if (!same)
                  FAIL_CHECK(cat("h ", h, " w ", w, " kernel ", kernel, " padding ", padding, " dilation ", dilation,
                                 " stride ", stride, ceil_mode ? " ceil" : ""));
                ++done;
              }
    CHECK(done > 500);
  }

  TEST_CASE("a window that holds no element: the lowest value, and no gradient") {
    const PoolOptions o{.kernel = {2, 2}, .padding = {1, 1}, .dilation = {9, 9}};
    Tensor x = mixed({1, 1, 8, 8});
    x.requires_grad_(true);
    const Tensor y = max_pool2d(x, o);
    CHECK(y.to_vector<double>() == std::vector<double>{-kInf});
    y.backward(ones({1, 1, 1, 1}, Dtype::f64));
    CHECK(x.grad() == zeros({1, 1, 8, 8}, Dtype::f64));
    const Tensor plain = x.detach();
    CHECK(max_pool2d(plain.to(Dtype::f16), o).to_vector<float>() == std::vector<float>{-INFINITY});
    CHECK(max_pool2d(plain.to(Dtype::i64), o).item<std::int64_t>() == INT64_MIN);
    CHECK(max_pool2d(plain.to(Dtype::i8), o).item<std::int64_t>() == -128);
    CHECK(max_pool2d(plain.to(Dtype::u8), o).item<std::int64_t>() == 0);
  }

  TEST_CASE("with ceil_mode a window may be larger than the input") {
    const Tensor x = mixed({1, 1, 2, 2});  // 11, 48, 85, 21
    CHECK(max_pool2d(x, {.kernel = {3, 3}, .stride = Pair{2, 2}, .ceil_mode = true}).to_vector<double>() ==
          std::vector<double>{85});
    CHECK(avg_pool2d(x, {.kernel = {3, 3}, .stride = Pair{2, 2}, .ceil_mode = true}).to_vector<double>() ==
          std::vector<double>{41.25});
    CHECK_THROWS_AS((void)max_pool2d(x, {.kernel = {3, 3}, .stride = Pair{1, 1}, .ceil_mode = true}), ShapeError);
    CHECK_THROWS_AS((void)max_pool2d(x, {.kernel = {3, 3}, .stride = Pair{2, 2}}), ShapeError);
  }

  TEST_CASE("empty axes are refused, empty batches are not") {
    const PoolOptions o{.kernel = {2, 2}, .padding = {1, 1}};
    for (const Shape& shape : {Shape{1, 1, 0, 8}, Shape{1, 1, 8, 0}, Shape{1, 0, 8}}) {
      CHECK_THROWS_AS((void)max_pool2d(zeros(shape), o), ShapeError);
      CHECK_THROWS_AS((void)avg_pool2d(zeros(shape), o), ShapeError);
      CHECK_THROWS_AS((void)adaptive_avg_pool2d(zeros(shape), {2, 2}), ShapeError);
    }
    CHECK(max_pool2d(zeros({0, 1, 8, 8}), o).shape() == Shape{0, 1, 5, 5});
    CHECK(avg_pool2d(zeros({0, 1, 8, 8}), o).shape() == Shape{0, 1, 5, 5});
    CHECK(adaptive_avg_pool2d(zeros({0, 1, 8, 8}), {2, 2}).shape() == Shape{0, 1, 2, 2});
  }

  TEST_CASE("the size of a window costs no time, and no sum of its settings overflows") {
    const Tensor x = mixed({1, 1, 8, 8});
    const std::int64_t half = kMost / 2;
    const PoolOptions wide{.kernel = {kMost, kMost}, .stride = Pair{1, 1}, .padding = {half, half}};
    CHECK(max_pool2d(x, wide).to_vector<double>() == std::vector<double>(64, 100));
    CHECK(avg_pool2d(x, wide).size(2) == 8);
    CHECK_THROWS_AS((void)max_pool2d(x, {.kernel = {kMost, 1}, .dilation = {kMost, 1}}), ShapeError);
    CHECK(max_pool2d(x, {.kernel = {1, 1}, .stride = Pair{kMost, kMost}, .ceil_mode = true}).numel() == 1);
    const std::int64_t huge = std::int64_t{1} << 62;
    for (const PoolOptions& o : {PoolOptions{.kernel = {huge, 1}, .padding = {huge / 2, 0}},
                                 PoolOptions{.kernel = {huge + 1, 1}, .stride = Pair{1, 1}, .dilation = {4, 1}},
                                 PoolOptions{.kernel = {1, 1}, .stride = Pair{INT64_MAX, 1}, .ceil_mode = true},
                                 PoolOptions{.kernel = {1, 1}, .stride = Pair{1, 1}, .dilation = {1, kMost + 1}}}) {
      CHECK_THROWS_AS((void)max_pool2d(x, o), ValueError);
      CHECK_THROWS_AS((void)avg_pool2d(x, o), ValueError);
    }
    CHECK_THROWS_WITH_AS((void)max_pool2d(x, {.kernel = {kMost + 1, 1}}),
                         "[max_pool2d] kernel must be in 1..2147483647; got 2147483648", ValueError);
  }

  TEST_CASE("adaptive windows of any number, and none of it where the result is empty") {
    const Tensor x = mixed({1, 1, 3, 3});
    CHECK(adaptive_avg_pool2d(x, {kMost, 0}).shape() == Shape{1, 1, kMost, 0});
    CHECK(adaptive_avg_pool2d(x, {5, 1}).size(2) == 5);
    CHECK_THROWS_AS((void)adaptive_avg_pool2d(x, {kMost + 1, 0}), ValueError);
    CHECK_THROWS_AS((void)adaptive_avg_pool2d(x, {-1, 1}), ValueError);
  }
}
