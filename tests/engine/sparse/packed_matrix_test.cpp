#include "coppice/engine/sparse/packed_matrix.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "coppice/engine/cpu.h"
#include "coppice/engine/error.h"
#include "coppice/engine/parallel.h"
#include "coppice/engine/random.h"
#include "engine/levels.h"
#include "engine/sparse_matrix.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// Largest difference of y from x wT + bias in double, relative to the sum of magnitudes.
double linear_error(const Tensor& w, const Tensor& x, const Tensor& bias, const Tensor& y) {
  double worst = 0;
  const auto rows = w.size(0), cols = w.size(1);
  const auto W = w.data<float>(), X = x.data<float>(), Y = y.data<float>();
  for (std::int64_t s = 0; s < x.size(0); ++s)
    for (std::int64_t r = 0; r < rows; ++r) {
      double sum = bias.defined() ? bias.data<float>()[static_cast<std::size_t>(r)] : 0, size = 1;
      for (std::int64_t c = 0; c < cols; ++c) {
        const double p = double{W[static_cast<std::size_t>(r * cols + c)]} * X[static_cast<std::size_t>(s * cols + c)];
        sum += p;
        size += std::abs(p);
      }
      const double d = std::abs(sum - Y[static_cast<std::size_t>(s * rows + r)]) / size;
      if (!(d <= worst)) worst = d;
    }
  return worst;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.bytes(), b.bytes(), a.nbytes()) == 0;
}

using Sizes = std::pair<std::int64_t, std::int64_t>;
const std::vector<Sizes> kSizes{{1, 1}, {3, 5}, {4, 8}, {16, 16}, {17, 33}, {37, 100}, {130, 64}, {100, 257}};

}  // namespace

TEST_SUITE("engine/packed_matrix") {
  TEST_CASE("names of formats go both ways") {
    for (const PackedFormat f : all_packed_formats()) CHECK(packed_format_from_name(f.name()) == f);
    CHECK(all_packed_formats().size() == 6);
    CHECK(to_string(PackedFormat("block8")) == "block8");
    CHECK_FALSE(packed_format_from_name("coo").has_value());
  }

  TEST_CASE("unpacking gives back what was packed, also through the members") {
    Generator g(1);
    for (const PackedFormat f : all_packed_formats())
      for (const Sizes& size : kSizes)
        for (const double density : {0.0, 0.1, 0.6, 1.0}) {
          const std::int64_t rows = size.first, cols = size.second;
          const Tensor w = sparse_matrix(rows, cols, density, g);
          const PackedMatrix p = PackedMatrix::pack(w, f);
          CAPTURE(f);
          CAPTURE(rows);
          CAPTURE(density);
          CHECK(same_bits(p.unpack(), w));
          std::int64_t nonzeros = 0;
          for (const float v : w.data<float>()) nonzeros += v != 0;
          CHECK(p.nonzeros() == nonzeros);
          const PackedMatrix q = PackedMatrix::from_members(f, rows, cols, p.members());
          CHECK(same_bits(q.unpack(), w));
          CHECK(q.nbytes() == p.nbytes());
        }
  }

  TEST_CASE("sizes in bytes follow from the layout") {
    const Tensor w = Tensor::of({{1, 0, 0, 2}, {0, 0, 0, 3}, {4, 0, 0, 0}, {0, 0, 0, 0}, {0, 5, 0, 0}});
    CHECK(PackedMatrix::pack(w, "dense").nbytes() == 80);
    CHECK(PackedMatrix::pack(w, "csr").nbytes() == 6 * 4 + 5 * (2 + 4));
    CHECK(PackedMatrix::pack(w, "bitmask").nbytes() == 6 * 4 + 5 + 5 * 4);
    CHECK(PackedMatrix::pack(w, "block4").nbytes() == 3 * 4 + 3 * (2 + 16));
    CHECK(PackedMatrix::pack(w, "block8").nbytes() == 2 * 4 + 3 * (2 + 32));
    CHECK(PackedMatrix::pack(w, "block16").nbytes() == 2 * 4 + 3 * (2 + 64));
  }

  TEST_CASE("more than 32768 columns take 32-bit indices") {
    for (const std::int64_t cols : {32768, 32769}) {
      Tensor w = Tensor::empty(Shape{2, cols});
      w.fill_(0);
      w.set_({0, cols - 1}, 2);
      w.set_({1, 0}, 3);
      Tensor x = Tensor::empty(Shape{9, cols});
      x.fill_(1);
      for (const PackedFormat f : formats_with("columns")) {
        const PackedMatrix p = PackedMatrix::pack(w, f);
        CHECK(p.members()[1].second.dtype() == (cols == 32768 ? Dtype::i16 : Dtype::i32));
        CHECK(same_bits(PackedMatrix::from_members(f, 2, cols, p.members()).unpack(), w));
        CHECK(p.linear(x).at({8, 0}) == 2);
        CHECK(p.linear(x).at({8, 1}) == 3);
      }
    }
  }

  TEST_CASE("subnormal numbers and negative zeros are dropped, NaN and infinity stay") {
    const float tiny = std::numeric_limits<float>::min() / 2;
    const Tensor w = Tensor::from(std::vector<float>{tiny, -tiny, -0.0f, NAN, INFINITY, 2 * tiny}, Shape{2, 3});
    for (const PackedFormat f : all_packed_formats()) {
      const PackedMatrix p = PackedMatrix::pack(w, f);
      const auto v = p.unpack().to_vector<float>();
      CHECK(p.nonzeros() == 3);
      CHECK((v[0] == 0 && v[1] == 0 && v[2] == 0));
      CHECK_FALSE(std::signbit(v[2]));
      CHECK(std::isnan(v[3]));
      CHECK(v[4] == INFINITY);
      CHECK(v[5] == 2 * tiny);
    }
  }

  TEST_CASE("linear equals a double reference in every format, at every level and batch") {
    const Settings restore;
    Generator g(2);
    for (const CpuLevel level : levels()) {
      set_cpu_level(level);
      for (const Sizes& size : kSizes)
        for (const double density : {0.0, 0.3, 1.0}) {
          const std::int64_t rows = size.first, cols = size.second;
          const Tensor w = sparse_matrix(rows, cols, density, g);
          const Tensor bias = random(Shape{rows}, g);
          for (const std::int64_t batch : {1, 2, 5, 7, 8, 33, 64, 70, 131}) {
            const Tensor x = random(Shape{batch, cols}, g);
            for (const PackedFormat f : all_packed_formats()) {
              CAPTURE(name_of(level));
              CAPTURE(f);
              CAPTURE(rows);
              CAPTURE(cols);
              CAPTURE(batch);
              const PackedMatrix p = PackedMatrix::pack(w, f);
              const Tensor& b = batch % 2 ? bias : Tensor();
              CHECK(linear_error(w, x, b, p.linear(x, b)) < 2e-6);
            }
          }
        }
    }
  }

  TEST_CASE("multiply equals linear on transposed samples") {
    const Settings restore;
    Generator g(3);
    for (const CpuLevel level : levels()) {
      set_cpu_level(level);
      for (const auto& [rows, cols] : kSizes) {
        const Tensor w = sparse_matrix(rows, cols, 0.4, g), bias = random(Shape{rows}, g);
        for (const std::int64_t n : {1, 3, 7, 12, 15, 16, 31, 49, 64, 100, 196}) {
          const Tensor x = random(Shape{n, cols}, g);
          std::vector<float> xt(static_cast<std::size_t>(n * cols)), y(static_cast<std::size_t>(n * rows), NAN);
          for (std::int64_t s = 0; s < n; ++s)
            for (std::int64_t c = 0; c < cols; ++c)
              xt[static_cast<std::size_t>(c * n + s)] = x.data<float>()[static_cast<std::size_t>(s * cols + c)];
          for (const PackedFormat f : all_packed_formats()) {
            const PackedMatrix p = PackedMatrix::pack(w, f);
            p.multiply(xt, n, y, bias.data<float>());
            Tensor back = Tensor::empty(Shape{n, rows});
            for (std::int64_t s = 0; s < n; ++s)
              for (std::int64_t r = 0; r < rows; ++r)
                back.mutable_data<float>()[static_cast<std::size_t>(s * rows + r)] =
                    y[static_cast<std::size_t>(r * n + s)];
            CAPTURE(f);
            CAPTURE(n);
            CHECK(linear_error(w, x, bias, back) < 2e-6);
          }
        }
      }
    }
  }

  TEST_CASE("1, 2 and 7 threads give the same bits") {
    const Settings restore;
    Generator g(4);
    const Tensor w = sparse_matrix(700, 600, 0.3, g), bias = random(Shape{700}, g);
    for (const std::int64_t batch : {1, 3, 64, 200}) {
      const Tensor x = random(Shape{batch, 600}, g);
      for (const PackedFormat f : all_packed_formats()) {
        const PackedMatrix p = PackedMatrix::pack(w, f);
        set_num_threads(1);
        const Tensor one = p.linear(x, bias);
        for (const int threads : {2, 7}) {
          set_num_threads(threads);
          CHECK(same_bits(p.linear(x, bias), one));
        }
      }
    }
  }

  TEST_CASE("a sample's result does not depend on the others once they run side by side") {
    Generator g(5);
    const Tensor w = sparse_matrix(50, 90, 0.3, g), x = random(Shape{100, 90}, g);
    for (const PackedFormat f : formats_with("columns")) {
      const PackedMatrix p = PackedMatrix::pack(w, f);
      const auto all = p.linear(x).to_vector<float>();
      for (const std::int64_t n : {6, 17, 64, 65}) {
        const auto some = p.linear(Tensor::from(x.data<float>().first(static_cast<std::size_t>(n * 90)), Shape{n, 90}));
        CHECK(std::memcmp(some.bytes(), all.data(), some.nbytes()) == 0);
      }
    }
  }

  TEST_CASE("matrices without rows, without columns, and empty batches") {
    for (const PackedFormat f : all_packed_formats())
      for (const auto& [rows, cols] : std::vector<Sizes>{{0, 0}, {0, 5}, {5, 0}}) {
        CAPTURE(f);
        Tensor w = Tensor::empty(Shape{rows, cols});
        const PackedMatrix p = PackedMatrix::from_members(f, rows, cols, PackedMatrix::pack(w, f).members());
        CHECK(p.unpack().shape() == Shape{rows, cols});
        CHECK(p.nonzeros() == 0);
        for (const std::int64_t batch : {0, 1, 9}) {
          Tensor x = Tensor::empty(Shape{batch, cols}), bias = Tensor::empty(Shape{rows});
          x.fill_(1);
          bias.fill_(2);
          const Tensor y = p.linear(x, bias);
          CHECK(y.shape() == Shape{batch, rows});
          for (const float v : y.data<float>()) CHECK(v == 2);
        }
      }
  }

  TEST_CASE("wrong shapes and types are refused") {
    const PackedMatrix p = PackedMatrix::pack(Tensor::of({{1, 0, 2}, {0, 3, 0}}), "csr");
    CHECK_THROWS_AS((void)PackedMatrix::pack(Tensor::of({1, 2}), "csr"), ShapeError);
    CHECK_THROWS_AS((void)PackedMatrix::pack(Tensor::empty(Shape{2, 2}, Dtype::f64), "csr"), DtypeError);
    CHECK_THROWS_AS((void)p.linear(Tensor::of({{1, 2}})), ShapeError);
    CHECK_THROWS_AS((void)p.linear(Tensor::of({1, 2, 3})), ShapeError);
    CHECK_THROWS_AS((void)p.linear(Tensor::of({{1, 2, 3}}), Tensor::of({1, 2, 3})), ShapeError);
    CHECK_THROWS_AS((void)p.linear(Tensor::empty(Shape{1, 3}, Dtype::f64)), DtypeError);
    std::vector<float> x(6), y(4);
    CHECK_THROWS_AS(p.multiply(x, 3, y), ShapeError);
    CHECK_THROWS_AS(p.multiply(x, 2, std::span(y).first(3)), ShapeError);
    CHECK_THROWS_AS(p.multiply(x, 2, y, std::span<const float>(x).first(1)), ShapeError);
  }
}
