#include "coppice/sparsity/pack/sparse_members.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "coppice/engine.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/ops/elementwise.h"
#include "coppice/engine/ops/quantized.h"
#include "engine/io/io_support.h"
#include "sparsity/refused.h"
#include "support/repeats.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::test::TempDir;
using coppice::testing::refused;

namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.nbytes() == 0 || std::memcmp(a.bytes(), b.bytes(), a.nbytes()) == 0);
}

/// Equal in names, order, every bit and metadata.
void check_same(const NamedTensors& a, const NamedTensors& b) {
  REQUIRE(a.names() == b.names());
  for (const auto& [name, tensor] : a) {
    CAPTURE(name);
    CHECK(same_bits(tensor, b.at(name)));
  }
  CHECK(a.metadata() == b.metadata());
}

/// Normal numbers of which a share is zero, as pruning leaves them: half of these are -0.
Tensor pruned(const Shape& shape, double share, Dtype dtype = Dtype::f32) {
  const Tensor values = randn(shape), keep = ge(rand(shape), full(shape, share)).to(Dtype::f32);
  return mul(values, keep).to(dtype);
}

NamedTensors small() {
  Tensor x = zeros({40, 30});  // five numbers, and 1195 zeros, one of them -0
  for (std::int64_t i = 0; i < 5; ++i) x.set_({i, 2 * i}, 0.5 + static_cast<double>(i));
  x.set_({39, 0}, -0.0);
  return {{"x", x}, {"y", ones({3})}};
}

/// small() as files of before held it: shape, bits and signs in members of their own.
NamedTensors small_in_old_layout() {
  std::vector<std::uint8_t> bits(150), signs(150);
  for (std::size_t i = 0; i < 5; ++i) bits[32 * i / 8] = 1;
  signs[1165 / 8] = 1 << 1165 % 8;
  NamedTensors out{{"x.shape", Tensor::from(std::vector<std::int64_t>{40, 30}, {2})},
                   {"x.bitmask", Tensor::from(bits, {150})},
                   {"x.compressed", Tensor::of({0.5, 1.5, 2.5, 3.5, 4.5})},
                   {"x.signs", Tensor::from(signs, {150})},
                   {"y", ones({3})}};
  out.metadata()[kSparseMembersKey] = "[\"x\"]";
  return out;
}

}  // namespace

TEST_SUITE("sparsity/pack/sparse_members") {
  TEST_CASE("of a tensor with zeros its bits, the rest and the signs of zeros are stored") {
    std::vector<float> values(1200);
    values[1] = 1, values[2] = -0.0f, values[3] = 2, values[10] = -3;
    // Flags; which of the 150 bytes of the bitmask are not 0; these; signs of 1197 zeros.
    std::vector<std::uint8_t> places(1 + 19 + 2 + 150);
    places[0] = 3, places[1] = 0b11, places[20] = 0b1010, places[21] = 0b100, places[22] = 0b10;
    NamedTensors given{{"w", Tensor::from(values, {3, 400})}, {"b", Tensor::of({1, 2})}};
    given.metadata()["of"] = "a test";
    std::vector<StoredTensor> rows;
    const NamedTensors stored = compact(given, &rows);
    CHECK(stored.names() == std::vector<std::string>{"w.places", "w.compressed", "b"});
    CHECK(stored.at("w.places") == Tensor::from(places, {172}));
    CHECK(stored.at("w.compressed") == Tensor::of({1, 2, -3}));
    CHECK(stored.metadata().at(kSparseMembersKey) == R"({"layout":2,"shapes":{"w":[3,400]}})");
    CHECK(stored.metadata().at("of") == "a test");
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].sparse);
    CHECK(rows[0].zeros == 1197);
    CHECK(rows[0].bytes_before == 4800);
    CHECK(rows[0].bytes == 172 + 12);
    CHECK_FALSE(rows[1].sparse);
    CHECK(rows[1].bytes == rows[1].bytes_before);
    check_same(expand(stored), given);
  }

  TEST_CASE("a bitmask without bytes that are 0 is written whole, and signs only where there are any") {
    std::vector<float> values(64);
    for (std::size_t i = 0; i < 64; i += 4) values[i] = 1 + static_cast<float>(i);
    NamedTensors given{{"w", Tensor::from(values, {64, 1}).to(Dtype::f64)}};
    const NamedTensors stored = compact(given);
    std::vector<std::uint8_t> places(9, 0b10001);
    places[0] = 0;
    CHECK(stored.at("w.places") == Tensor::from(places, {9}));
    check_same(expand(stored), given);
  }

  TEST_CASE("the layout of older files is read") {
    check_same(expand(small_in_old_layout()), small());
    const std::filesystem::path data = std::filesystem::path(COPPICE_TESTS_DIR) / "data/packed";
    NamedTensors old = expand(read_safetensors(data / "members_1.safetensors"));
    NamedTensors whole = read_safetensors(data / "members.safetensors");
    whole.metadata() = old.metadata() = {};  // ties, and the format of the one
    check_same(old, whole);
    check_same(expand(compact(old)), old);
  }

  TEST_CASE("every bit comes back: random shapes, types and shares of zeros") {
    manual_seed(3);
    Generator g(3);
    constexpr std::array types{Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16,   Dtype::i8,
                               Dtype::u8,  Dtype::i32, Dtype::i64, Dtype::boolean};
    for (int i = 0; i < test::repeats(200, 10'000); ++i) {
      CAPTURE(i);
      NamedTensors given;
      for (int j = 0; j < 3; ++j) {
        std::vector<std::int64_t> sizes(g.next32() % 4);
        for (std::int64_t& size : sizes) size = g.next32() % 40;
        given.add(cat("t", j), pruned(Shape(sizes), g.next32() % 11 / 10.0, types[g.next32() % types.size()]));
      }
      const NamedTensors stored = compact(given);
      CHECK(stored.nbytes() <= given.nbytes());
      check_same(expand(stored), given);
    }
  }

  TEST_CASE("NaN with a payload, infinities, subnormals and -0 in every floating type") {
    constexpr float inf = std::numeric_limits<float>::infinity(), tiny = std::numeric_limits<float>::denorm_min();
    std::vector<float> values(2000, -0.0f);
    const std::uint32_t payload = 0xffc12345;
    std::memcpy(&values[7], &payload, 4);
    values[8] = inf, values[9] = -inf, values[10] = tiny, values[11] = 0;
    const Tensor x = Tensor::from(values, {2000});
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16}) {
      CAPTURE(dtype);
      const NamedTensors given{{"x", x.to(dtype)}};
      const NamedTensors stored = compact(given);
      CHECK(is_compact(stored));
      check_same(expand(stored), given);
    }
  }

  TEST_CASE("at 90 % zeros at most 17 % of the bytes; masks take a bit per entry") {
    manual_seed(4);
    const NamedTensors given{{"w", pruned({256, 300}, 0.9)}};
    CHECK(static_cast<double>(compact(given).nbytes()) < 0.17 * static_cast<double>(given.nbytes()));
    const NamedTensors masks{{"w_mask", ge(rand({256, 300}), full({256, 300}, 0.9)).to(Dtype::f32)}};
    CHECK(compact(masks).nbytes() < 256 * 300 / 8 * 3 / 4);
  }

  TEST_CASE("what would not become smaller stays, and what has no zeros, no entries or no free names") {
    NamedTensors given = small();
    given.add("dense", randn({50}));
    given.add("empty", Tensor::empty({0, 5}));
    given.add("scalar", Tensor::of(0.0));
    given.add("taken", zeros({1000}));
    given.add("taken.places", zeros({1}));
    const NamedTensors stored = compact(given);
    for (const char* name : {"y", "dense", "empty", "scalar", "taken", "taken.places"}) CHECK(stored.contains(name));
    CHECK_FALSE(stored.contains("x"));
    check_same(expand(stored), given);
    const NamedTensors dense{{"x", randn({9})}};
    CHECK_FALSE(is_compact(compact(dense)));
    check_same(compact(dense), dense);
    check_same(expand(dense), dense);
    check_same(expand(compact({})), {});
    CHECK(refused<ValueError>([&] { (void)compact(stored); }));
  }

  TEST_CASE("quantised tensors stay whole, with their scale") {
    const TempDir dir;
    NamedTensors given = small();
    given.add("q", quantize_per_tensor(given.at("x"), 0.5, 3, Dtype::quint8));
    const NamedTensors stored = compact(given);
    CHECK(stored.at("q").is_quantized());
    CHECK_FALSE(stored.contains("x"));
    write_safetensors(dir / "c.safetensors", stored, {.tied = true});
    const NamedTensors back = expand(read_safetensors(dir / "c.safetensors"));
    CHECK(back.names() == given.names());
    CHECK(same_bits(back.at("x"), given.at("x")));
    CHECK(back.at("q") == given.at("q"));
    CHECK(back.metadata().empty());
  }

  TEST_CASE("tied tensors are stored once and tied again") {
    const TempDir dir;
    NamedTensors given = small();
    given.add("z", given.at("x"));
    given.add("flat", given.at("x").reshape({1200}));
    write_safetensors(dir / "c.safetensors", compact(given), {.tied = true});
    CHECK(std::filesystem::file_size(dir / "c.safetensors") < 2 * compact(small()).nbytes() + 1500);
    const NamedTensors back = expand(read_safetensors(dir / "c.safetensors"));
    for (const auto& [name, tensor] : given) CHECK(same_bits(back.at(name), tensor));
    CHECK(back.at("z").bytes() == back.at("x").bytes());
    CHECK(back.metadata() == given.metadata());
  }

  TEST_CASE("through a file") {
    const TempDir dir;
    const NamedTensors given = small();
    write_safetensors(dir / "c.safetensors", compact(given), {.checksums = true});
    check_same(expand(read_safetensors(dir / "c.safetensors")), given);
  }

  TEST_CASE("members that do not fit are refused, in the old layout too") {
    const NamedTensors fresh = compact(small());
    for (const char* name : {"x.places", "x.compressed"}) {
      NamedTensors bad = fresh;
      bad.erase(name);
      CHECK(refused<FormatError>([&] { (void)expand(bad); }));
      bad.add(name, ones({2}, Dtype::u8));
      CHECK(refused<FormatError>([&] { (void)expand(bad); }));
    }
    NamedTensors double_owned = fresh;
    double_owned.add("x", ones({2}));
    CHECK(refused<FormatError>([&] { (void)expand(double_owned); }));
    NamedTensors newer = fresh;
    newer.metadata()[kSparseMembersKey] = R"({"layout":3,"shapes":{"x":[40,30]}})";
    CHECK(refused<FormatError>([&] { (void)expand(newer); }));
    const NamedTensors good = small_in_old_layout();
    const auto refuses = [&](const std::string& name, const Tensor& tensor) {
      CAPTURE(name);
      NamedTensors bad = good;
      bad.set(name, tensor);
      CHECK(refused<FormatError>([&] { (void)expand(bad); }));
    };
    const auto bytes = [](std::vector<std::uint8_t> values) {
      return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
    };
    const auto sizes = [](std::vector<std::int64_t> values) {
      return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
    };
    refuses("x.shape", sizes({40, 31}));
    refuses("x.shape", sizes({-40, -30}));
    refuses("x.shape", sizes({1L << 62, 4}));
    refuses("x.shape", sizes({1L << 40, 1L << 20}));
    refuses("x.shape", ones({2}));
    refuses("x.shape", ones({1, 2}, Dtype::i64));
    refuses("x.bitmask", bytes({1}));
    refuses("x.bitmask", full({150}, 255, Dtype::u8));
    refuses("x.bitmask", ones({150}));
    refuses("x.compressed", ones({2}));
    refuses("x.compressed", ones({1, 2}));
    refuses("x.signs", bytes({1}));
    refuses("x.signs", full({good.at("x.signs").numel()}, 255, Dtype::u8));
    refuses("x", ones({2}));
    for (const char* member : {"x.shape", "x.bitmask", "x.compressed"}) {
      NamedTensors bad = good;
      bad.erase(member);
      CHECK(refused<FormatError>([&] { (void)expand(bad); }));
    }
    for (const char* list :
         {"", "{}", "[1]", "[\"x\",\"x\"]", "[\"x\",\"z\"]", "\"x\"", "[[[[", "[[\"x\"]]", "[{\"x\":1}]"}) {
      CAPTURE(list);
      NamedTensors bad = good;
      bad.metadata()[kSparseMembersKey] = list;
      CHECK(refused<FormatError>([&] { (void)expand(bad); }));
    }
  }

  TEST_CASE("members that are shared but for their signs are two tensors") {
    NamedTensors two = small_in_old_layout();
    for (const char* member : {".shape", ".bitmask", ".compressed"})
      two.add(cat("y2", member), two.at(cat("x", member)));
    two.add("y2.signs", zeros({two.at("x.signs").numel()}, Dtype::u8));
    two.metadata()[kSparseMembersKey] = "[\"x\",\"y2\"]";
    const NamedTensors back = expand(two);
    CHECK(std::signbit(back.at("x").at({39, 0})));
    CHECK_FALSE(std::signbit(back.at("y2").at({39, 0})));
  }

  TEST_CASE("memory is bounded before any is taken") {
    NamedTensors bomb{{"x.shape", Tensor::from(std::vector<std::int64_t>{1L << 23}, {1})},
                      {"x.bitmask", zeros({1L << 20}, Dtype::u8)},
                      {"x.compressed", Tensor::empty({0}, Dtype::f64)}};
    bomb.metadata()[kSparseMembersKey] = "[\"x\"]";
    Limits limits;
    CHECK(expand(bomb, "f", limits).at("x") == zeros({1L << 23}, Dtype::f64));
    limits.extra_bytes = 1 << 20;
    CHECK(refused<LimitError>([&] { (void)expand(bomb, "f", limits); }));
    bomb.set("x.shape", ones({17}, Dtype::i64));
    CHECK(refused<LimitError>([&] { (void)expand(bomb); }));
    std::vector<std::uint8_t> places(1 + (1 << 17));  // a bit for each of 2^20 bytes of a bitmask
    places[0] = 1;
    NamedTensors fresh{{"x.places", Tensor::from(places, {1 + (1 << 17)})}, {"x.compressed", Tensor::empty({0})}};
    fresh.metadata()[kSparseMembersKey] = R"({"layout":2,"shapes":{"x":[8388608]}})";
    CHECK(expand(fresh).at("x") == zeros({1L << 23}));
    CHECK(refused<LimitError>([&] { (void)expand(fresh, "f", limits); }));
    limits = {};
    limits.tensors = 0;
    CHECK(refused<LimitError>([&] { (void)expand(fresh, "f", limits); }));
  }

  TEST_CASE("quantised tensors stay as they are, zeros and all") {
    const QParamsPtr floats = QParams::per_channel_float({1, 1}, {0, 0}, 0);
    const NamedTensors quantised{
        {"four", make_quantized(zeros({2, 4000}, Dtype::u8), Dtype::quint4x2, floats)},
        {"eight", make_quantized(zeros({2, 4000}, Dtype::i8), Dtype::qint8, QParams::per_tensor(1, 0))}};
    const NamedTensors small = compact(quantised);
    for (const auto& [name, tensor] : quantised) CHECK(small.at(name) == tensor);
  }
}
