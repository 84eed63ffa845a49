/// Members of a packed matrix that break a rule: what a damaged file would hand to from_members.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine/error.h"
#include "coppice/engine/sparse/packed_matrix.h"
#include "engine/sparse_matrix.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// The named member of a packed matrix, copied, for damage.
Tensor& damaged(PackedMatrix::Members& members, std::string_view name) {
  for (auto& [n, t] : members)
    if (n == name) return t = t.clone();
  throw KeyError(cat("no member ", name));
}

/// Packs a 5 x 10 matrix, lets `damage` change its members, and reads them back.
template <class F>
void reread(PackedFormat format, F damage) {
  Generator g(9);
  const PackedMatrix good = PackedMatrix::pack(sparse_matrix(5, 10, 0.7, g), format);
  PackedMatrix::Members members = good.members();
  damage(members);
  (void)PackedMatrix::from_members(format, 5, 10, members);
}

template <class T>
auto set(std::string_view name, std::size_t at, T value) {
  return [=](PackedMatrix::Members& m) { damaged(m, name).mutable_data<T>()[at] = value; };
}

}  // namespace

TEST_SUITE("engine/packed_members") {
  TEST_CASE("members that break a rule are refused") {
    const auto unchanged = [](PackedMatrix::Members&) {};
    for (const PackedFormat f : all_packed_formats()) {
      CAPTURE(f);
      CHECK_NOTHROW(reread(f, unchanged));
      CHECK_THROWS_AS(reread(f, [](auto& m) { m.pop_back(); }), FormatError);
      CHECK_THROWS_AS(reread(f, [](auto& m) { m.emplace_back("extra", Tensor::of(1)); }), FormatError);
      CHECK_THROWS_AS(reread(f, [](auto& m) { m.push_back(m[0]); }), FormatError);
      CHECK_THROWS_AS(reread(f, [](auto& m) { m[0].second = Tensor(); }), FormatError);
      CHECK_THROWS_AS(reread(f, [](auto& m) { m.back().second = m.back().second.to(Dtype::f64); }), FormatError);
      CHECK_THROWS_AS(reread(f, [](auto& m) { m.back().second = m.back().second.reshape({1, 1, -1}); }), FormatError);
      CHECK_THROWS_AS((void)PackedMatrix::from_members(f, -1, 10, {}), FormatError);
      CHECK_THROWS_AS((void)PackedMatrix::from_members(f, INT64_MAX, INT64_MAX, {}), FormatError);
      Generator g(9);
      const auto members = PackedMatrix::pack(sparse_matrix(5, 10, 0.7, g), f).members();
      if (f.block().rows < 9)  // 9 rows would be one group, as 5 are
        CHECK_THROWS_AS((void)PackedMatrix::from_members(f, 9, 10, members), FormatError);
      CHECK_THROWS_AS((void)PackedMatrix::from_members(f, 5, 2, members), FormatError);
    }
  }

  TEST_CASE("row offsets that fall, start late or end early are refused") {
    for (const PackedFormat f : formats_with("row_offsets")) {
      CAPTURE(f);
      CHECK_THROWS_AS(reread(f, set<std::int32_t>("row_offsets", 0, 1)), FormatError);
      CHECK_THROWS_AS(reread(f, set<std::int32_t>("row_offsets", 0, -1)), FormatError);
      CHECK_THROWS_AS(reread(f, set<std::int32_t>("row_offsets", 1, -5)), FormatError);
      CHECK_THROWS_AS(reread(f, set<std::int32_t>("row_offsets", 1, INT32_MAX)), FormatError);
      CHECK_THROWS_AS(reread(f,
                             [](auto& m) {
                               Tensor& t = damaged(m, "row_offsets");
                               t.mutable_data<std::int32_t>().back() -= 1;
                             }),
                      FormatError);
      CHECK_THROWS_AS(reread(f,
                             [](auto& m) {
                               Tensor& t = damaged(m, "row_offsets");
                               t.mutable_data<std::int32_t>().back() += 1;
                             }),
                      FormatError);
      CHECK_THROWS_AS(reread(f,
                             [](auto& m) {
                               for (auto& [name, t] : m)
                                 if (name == "row_offsets") t = t.to(Dtype::i64);
                             }),
                      FormatError);
    }
  }

  TEST_CASE("columns out of range, repeated or unsorted are refused") {
    for (const PackedFormat f : formats_with("columns")) {
      CAPTURE(f);
      CHECK_THROWS_AS(reread(f, set<std::int16_t>("columns", 0, -1)), FormatError);
      CHECK_THROWS_AS(reread(f, set<std::int16_t>("columns", 0, 10)), FormatError);
      CHECK_THROWS_AS(reread(f,
                             [](auto& m) {
                               const auto c = damaged(m, "columns").template mutable_data<std::int16_t>();
                               c[1] = c[0];
                             }),
                      FormatError);
      CHECK_THROWS_AS(reread(f,
                             [](auto& m) {
                               const auto c = damaged(m, "columns").template mutable_data<std::int16_t>();
                               std::swap(c[0], c[1]);
                             }),
                      FormatError);
      CHECK_NOTHROW(reread(f, [](auto& m) { m[1].second = m[1].second.to(Dtype::i32); }));
      CHECK_THROWS_AS(reread(f, [](auto& m) { m[1].second = m[1].second.to(Dtype::i64); }), FormatError);
    }
  }

  TEST_CASE("a mask that disagrees with the offsets, or has bits beyond the last column, is refused") {
    CHECK_THROWS_AS(reread("bitmask",
                           [](auto& m) {
                             auto bits = damaged(m, "mask").template mutable_data<std::uint8_t>();
                             bits[0] ^= 1;
                           }),
                    FormatError);
    CHECK_THROWS_AS(reread("bitmask",
                           [](auto& m) {  // as many bits, one of them in the padding
                             auto bits = damaged(m, "mask").template mutable_data<std::uint8_t>();
                             std::size_t at = 0;
                             while (bits[at] == 0) at += 2;
                             bits[at] &= static_cast<std::uint8_t>(bits[at] - 1);
                             bits[at + 1] |= 0x80;
                           }),
                    FormatError);
  }

  TEST_CASE("values in rows beyond the last are refused") {
    // 5 rows: block4 has three rows too many in its second group, block8 in its only one.
    CHECK_THROWS_AS(reread("block4", [](auto& m) { damaged(m, "values").template mutable_data<float>().back() = 1; }),
                    FormatError);
    CHECK_THROWS_AS(reread("block8", set<float>("values", 7, 1.0f)), FormatError);
    CHECK_THROWS_AS(reread("block16", set<float>("values", 5, NAN)), FormatError);
  }

  TEST_CASE("a member that is written after the check is a StateError at the next use, not a reading out of range") {
    for (const PackedFormat f : all_packed_formats()) {
      CAPTURE(f);
      Generator g(9);
      const PackedMatrix matrix = PackedMatrix::pack(sparse_matrix(5, 10, 0.7, g), f);
      const PackedMatrix::Members members = matrix.members();
      CHECK(matrix.shows(members));
      Tensor values = members.back().second;
      CHECK_FALSE(matrix.shows({{"values", values.clone()}}));
      values.copy_(values.clone());
      CHECK_FALSE(matrix.shows(members));
      std::vector<float> x(10), y(5);
      CHECK_THROWS_WITH_AS((void)matrix.linear(Tensor::empty({1, 10})), doctest::Contains("'values' was written"),
                           StateError);
      CHECK_THROWS_AS(matrix.multiply(x, 1, y), StateError);
      CHECK_THROWS_AS((void)matrix.unpack(), StateError);
      CHECK_THROWS_AS((void)matrix.nonzeros(), StateError);
    }
  }

  TEST_CASE("a handle that its owner points elsewhere leaves the matrix as it is") {
    Generator g(9);
    const Tensor dense = sparse_matrix(5, 10, 0.7, g);
    PackedMatrix::Members members = PackedMatrix::pack(dense, "csr").members();
    const PackedMatrix matrix = PackedMatrix::from_members("csr", 5, 10, members);
    members[1].second.replace_(Tensor::empty({0}, Dtype::i16));
    CHECK(matrix.unpack() == dense);
    CHECK_FALSE(matrix.shows(members));
  }
}
