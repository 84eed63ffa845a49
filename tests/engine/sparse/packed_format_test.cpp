/// What every row of the table of packed formats promises.
#include "coppice/engine/sparse/packed_format.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "../../../engine/src/sparse/format.h"
#include "coppice/engine/create.h"
#include "coppice/engine/error.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/linalg.h"
#include "coppice/engine/ops/shape_ops.h"
#include "coppice/engine/sparse/packed_matrix.h"
#include "engine/sparse_matrix.h"
#include "support/approx.h"

using namespace coppice;
using namespace coppice::test;
using coppice::testing::differs;

namespace {

using Members = PackedMatrix::Members;

constexpr std::int64_t kRows = 37, kCols = 21;

/// Rows that no block divides, columns that no byte of bits divides; a row and a column without numbers.
Tensor weight() {
  Generator g(3);
  return sparse_matrix(kRows, kCols, 0.4, g);
}

/// The members with number `i` exchanged.
Members with(Members members, std::size_t i, const Tensor& tensor) {
  members[i].second = tensor;
  return members;
}

bool refused(PackedFormat format, const Members& members) {
  try {
    (void)PackedMatrix::from_members(format, kRows, kCols, members);
    return false;
  } catch (const FormatError&) {
    return true;
  }
}

/// Whether the matrix is the one that packing its numbers gives: no number has two places, and none stands outside.
bool is_canonical(const PackedMatrix& matrix) {
  const Members again = PackedMatrix::pack(matrix.unpack(), matrix.format()).members();
  for (std::size_t i = 0; i < again.size(); ++i)
    if (!(again[i].second == matrix.members()[i].second)) return false;
  return true;
}

}  // namespace

TEST_SUITE("engine/sparse/packed_format") {
  TEST_CASE("names are unique, also among old ones, and lead to their row") {
    std::set<std::string_view> names;
    for (const PackedFormat f : all_packed_formats()) {
      CAPTURE(f);
      CHECK_FALSE(f.name().empty());
      CHECK(names.insert(f.name()).second);
      for (const std::string_view old : f.row().old_names) {
        CHECK(names.insert(old).second);
        CHECK(packed_format_from_name(old) == f);
      }
      CHECK(packed_format_from_name(f.name()) == f);
      CHECK(PackedFormat(f.name()) == f);
      CHECK(to_string(f) == f.name());
      std::ostringstream out;
      out << f;
      CHECK(out.str() == f.name());
    }
  }

  TEST_CASE("the first is dense, and what can be packed is the rest") {
    CHECK(all_packed_formats().front() == PackedFormat());
    CHECK(PackedFormat().name() == "dense");
    CHECK(packing_formats().size() + 1 == all_packed_formats().size());
    for (const PackedFormat f : packing_formats()) CHECK_FALSE(f.is_dense());
  }

  TEST_CASE("names that files hold since the first version are read") {
    for (const char* name : {"dense", "csr", "bitmask", "block4", "block8", "block16"})
      CHECK(PackedFormat(name).name() == name);
  }

  TEST_CASE("an unknown name is a ValueError that lists the known ones") {
    CHECK_FALSE(packed_format_from_name("coo").has_value());
    CHECK_FALSE(packed_format_from_name("").has_value());
    CHECK_FALSE(packed_format_from_name("CSR").has_value());
    CHECK_THROWS_WITH_AS(PackedFormat("coo\n"),
                         "[PackedFormat] must be dense, csr, bitmask, block4, block8 or block16; got 'coo\\x0a'",
                         ValueError);
    CHECK(packed_format_names({}).empty());
    CHECK(packed_format_names(all_packed_formats().first(1)) == "dense");
    CHECK(packed_format_names(all_packed_formats().first(2)) == "dense or csr");
  }

  TEST_CASE("a format that was renamed is found by its old names too") {
    static constexpr std::string_view old[] = {"crs", "yale"};
    PackedFormatRow row = PackedFormat("csr").row();
    row.name = "rows";
    row.old_names = old;
    const PackedFormat table[] = {PackedFormat(), PackedFormat(row)};
    for (const char* name : {"rows", "crs", "yale"}) CHECK(sparse::find_row(table, name) == &row);
    CHECK(sparse::find_row(table, "dense") == &PackedFormat().row());
    CHECK(sparse::find_row(table, "csr") == nullptr);
  }

  TEST_CASE("layout, block and element type say what pack makes") {
    for (const PackedFormat f : all_packed_formats()) {
      CAPTURE(f);
      const PackedMatrix p = PackedMatrix::pack(weight(), f);
      CHECK_FALSE(f.layout().name.empty());
      REQUIRE(p.members().size() == f.layout().members.size());
      for (std::size_t i = 0; i < p.members().size(); ++i) {
        CHECK(p.members()[i].first == f.layout().members[i]);
        if (p.members()[i].first == "values") CHECK(p.members()[i].second.dtype() == f.element());
      }
      // One number in each of two neighbouring blocks: only their blocks are stored, whole.
      const PackedBlock block = f.block();
      Tensor two = zeros({2 * block.rows, 2 * block.cols});
      two.set_({0, 0}, 1);
      two.set_({2 * block.rows - 1, 2 * block.cols - 1}, 2);
      const Tensor values = PackedMatrix::pack(two, f).members().back().second;
      CHECK(values.numel() == (f.is_dense() ? two.numel() : 2 * block.rows * block.cols));
    }
    CHECK(to_string(PackedFormat("block8").block()) == "8 x 1");
  }

  TEST_CASE("pack, check, unpack give back the matrix, and its members the same bytes") {
    for (const PackedFormat f : all_packed_formats()) {
      CAPTURE(f);
      const Tensor w = weight();
      const PackedMatrix packed = PackedMatrix::pack(w, f),
                         read = PackedMatrix::from_members(f, kRows, kCols, packed.members());
      CHECK(read.format() == f);
      CHECK(read.unpack() == w);
      CHECK(read.nbytes() == packed.nbytes());
      CHECK(is_canonical(read));
    }
  }

  TEST_CASE("linear and multiply give what the dense product gives") {
    Generator g(4);
    const Tensor w = weight(), bias = random(Shape{kRows}, g);
    for (const PackedFormat f : all_packed_formats())
      for (const std::int64_t n : {1, 3, 16, 65}) {
        CAPTURE(f);
        CAPTURE(n);
        const PackedMatrix p = PackedMatrix::pack(w, f);
        const Tensor x = random(Shape{n, kCols}, g), xt = transpose(x);
        const Tensor plain = matmul(x, transpose(w));
        CHECK(differs(p.linear(x), plain, Tolerance{1e-5, 1e-5}) == "");
        CHECK(differs(p.linear(x, bias), plain + bias, Tolerance{1e-5, 1e-5}) == "");
        Tensor y = full({kRows, n}, NAN);
        p.multiply(xt.data<float>(), n, y.mutable_data<float>());
        CHECK(differs(transpose(y), plain, Tolerance{1e-5, 1e-5}) == "");
        p.multiply(xt.data<float>(), n, y.mutable_data<float>(), bias.data<float>());
        CHECK(differs(transpose(y), plain + bias, Tolerance{1e-5, 1e-5}) == "");
      }
  }

  TEST_CASE("a member of another type or shape is refused") {
    for (const PackedFormat f : all_packed_formats()) {
      const Members good = PackedMatrix::pack(weight(), f).members();
      for (std::size_t i = 0; i < good.size(); ++i) {
        const auto& [name, tensor] = good[i];
        const std::string member = name;  // Clang 14 cannot capture a structured binding
        CAPTURE(f);
        CAPTURE(member);
        for (const Dtype other : {Dtype::f64, Dtype::f16, Dtype::i8, Dtype::i64, Dtype::boolean})
          CHECK(refused(f, with(good, i, tensor.to(other))));
        CHECK(refused(f, with(good, i, tensor.reshape({1, 1, -1}))));
        CHECK(refused(f, with(good, i, Tensor::empty({0}, tensor.dtype()))));
        CHECK(refused(f, with(good, i, Tensor::of(1).to(tensor.dtype()))));
        CHECK(refused(f, with(good, i, cat(TensorList{tensor, tensor}, 0))));
        CHECK(refused(f, with(good, i, narrow(tensor, 0, 0, tensor.size(0) - 1))));
      }
    }
  }

  TEST_CASE("every flipped bit of an index is refused, or makes another matrix of the format; so are two") {
    for (const PackedFormat f : all_packed_formats()) {
      const Members good = PackedMatrix::pack(weight(), f).members();
      for (std::size_t i = 0; i < good.size(); ++i) {
        const Tensor& index = good[i].second;
        if (is_floating(index.dtype())) continue;
        std::size_t bad = 0, odd = 0;
        const auto flip = [&](std::initializer_list<std::size_t> bits) {
          Tensor changed = index.clone();
          for (const std::size_t bit : bits) changed.mutable_bytes()[bit / 8] ^= std::byte{1} << (bit % 8);
          const Members members = with(good, i, changed);
          if (refused(f, members))
            ++bad;
          else if (!is_canonical(PackedMatrix::from_members(f, kRows, kCols, members)))
            ++odd;
        };
        const std::size_t bits = 8 * index.nbytes();
        for (std::size_t bit = 0; bit < bits; ++bit) flip({bit});
        CHECK(bad > bits / 2);  // most of them
        Generator g(5);
        for (int pair = 0; pair < 5000; ++pair) {  // in one row, often
          const std::size_t bit = g.next32() % bits;
          flip({bit, (bit + 1 + g.next32() % 24) % bits});
        }
        const std::string member = good[i].first;
        CAPTURE(f);
        CAPTURE(member);
        CHECK(odd == 0);
      }
    }
  }

  TEST_CASE("an index that is far too large or negative is refused wherever it stands") {
    for (const PackedFormat f : all_packed_formats()) {
      const Members good = PackedMatrix::pack(weight(), f).members();
      for (std::size_t i = 0; i < good.size(); ++i) {
        const Tensor& index = good[i].second;
        if (index.dtype() != Dtype::i16 && index.dtype() != Dtype::i32) continue;
        const std::int64_t most = index.dtype() == Dtype::i16 ? INT16_MAX : INT32_MAX;
        for (std::int64_t at = 0; at < index.numel(); ++at)
          for (const std::int64_t value : {most, -most - 1, std::int64_t{-1}}) {
            Tensor changed = index.clone();
            changed.set_({at}, static_cast<double>(value));
            CAPTURE(f);
            CAPTURE(at);
            CAPTURE(value);
            CHECK(refused(f, with(good, i, changed)));
          }
      }
    }
  }

  TEST_CASE("a value that is no number is refused where nothing may stand, and unpacked where it stands") {
    for (const PackedFormat f : all_packed_formats()) {
      CAPTURE(f);
      const Members good = PackedMatrix::pack(weight(), f).members();
      const std::size_t last = good.size() - 1;
      REQUIRE(good[last].first == "values");
      std::int64_t places = 0, outside = 0;
      for (std::int64_t at = 0; at < good[last].second.numel(); ++at) {
        Tensor changed = good[last].second.clone();
        changed.mutable_data<float>()[static_cast<std::size_t>(at)] = NAN;
        const Members members = with(good, last, changed);
        if (refused(f, members)) {
          ++outside;
          continue;
        }
        const Tensor dense = PackedMatrix::from_members(f, kRows, kCols, members).unpack();
        for (const float v : dense.data<float>()) places += std::isnan(v) ? 1 : 0;
      }
      CHECK(places + outside == good[last].second.numel());
      CHECK((outside > 0) == (f.block().rows > 1));  // 37 rows are no whole number of blocks
    }
  }
}
