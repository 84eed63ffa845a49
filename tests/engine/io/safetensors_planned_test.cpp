// Safetensors files whose tensors are made while they are written.
#include "coppice/engine/create.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/random.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;

namespace {

NamedTensors some() {
  manual_seed(5);
  NamedTensors out{{"b", randn({3, 5})},
                   {"a", randn({70'000})},
                   {"several pieces", randn({600'001})},
                   {"h", randn({7}).to(Dtype::f16)},
                   {"empty", Tensor::empty({0, 2})},
                   {"n", Tensor::from(std::vector<std::int64_t>{1, 2}, {2})}};
  out.metadata()["of"] = "a test of \"coppice.crc32\":\"";
  out.metadata()["a\"coppice.crc32"] = "a key that ends as the checksums' begins";
  out.metadata()["b\\\"coppice.crc32\":\""] = "and another";
  return out;
}

std::vector<PlannedTensor> planned(const NamedTensors& tensors) {
  std::vector<PlannedTensor> out;
  for (const auto& [name, tensor] : tensors)
    out.push_back({name, tensor.dtype(), tensor.shape(), [tensor = tensor] { return tensor.clone(); }});
  return out;
}

/// Tensors that are filled in pieces.
std::vector<PlannedTensor> filled(const NamedTensors& tensors) {
  std::vector<PlannedTensor> out;
  for (const auto& [name, tensor] : tensors)
    out.push_back(
        {name, tensor.dtype(), tensor.shape(), {}, {}, [tensor = tensor](std::uint64_t at, std::span<std::byte> to) {
           std::copy_n(tensor.bytes() + at, to.size(), to.begin());
         }});
  return out;
}

}  // namespace

TEST_SUITE("engine/io/safetensors planned") {
  TEST_CASE("the bytes are those of tensors that are there, in every order and with checksums") {
    const TempDir dir;
    const NamedTensors tensors = some();
    using Order = SafetensorsWriteOptions::DataOrder;
    for (const Order order : {Order::reference, Order::given})
      for (const bool checksums : {false, true}) {
        const SafetensorsWriteOptions options{.data_order = order, .checksums = checksums};
        write_safetensors(dir / "there", tensors, options);
        write_safetensors(dir / "made", planned(tensors), tensors.metadata(), options);
        CHECK(slurp(dir / "there") == slurp(dir / "made"));
        write_safetensors(dir / "filled", filled(tensors), tensors.metadata(), options);
        CHECK(slurp(dir / "there") == slurp(dir / "filled"));
        CHECK(std::filesystem::file_size(dir / "there") == safetensors_bytes(tensors, options));
        const NamedTensors read = read_safetensors(dir / "made");
        CHECK(read.compared() == (checksums ? tensors.size() : 0));
        CHECK(read.metadata() == tensors.metadata());
        for (const auto& [name, tensor] : tensors) CHECK(read.at(name) == tensor);
      }
  }

  TEST_CASE("one tensor at a time is made, each once") {
    const TempDir dir;
    int alive = 0, most = 0, made = 0, written = 0;
    struct Counted {
      int& alive;
      explicit Counted(int& count) : alive(count) { ++alive; }
      ~Counted() { --alive; }
    };
    std::vector<PlannedTensor> plan;
    for (int i = 0; i < 5; ++i)
      plan.push_back({cat("t", i),
                      Dtype::f32,
                      {1000},
                      [&] {
                        ++made;
                        const Tensor from = randn({1000});
                        auto keeper = std::make_shared<Counted>(alive);
                        most = std::max(most, alive);
                        struct Held {
                          Tensor tensor;
                          std::shared_ptr<Counted> counted;
                        };
                        auto held = std::make_shared<Held>(Held{from, keeper});
                        std::byte* const bytes = held->tensor.mutable_bytes();
                        return Tensor::over(Storage::adopt(bytes, 4000, held), 0, {1000}, Dtype::f32);
                      },
                      [&] {
                        CHECK(alive == 0);
                        ++written;
                      }});
    write_safetensors(dir / "f", plan, {});
    CHECK(made == 5);
    CHECK(written == 5);
    CHECK(most == 1);
    CHECK(alive == 0);
  }

  TEST_CASE("plans that do not hold leave the old file") {
    const TempDir dir;
    spill(dir / "f", "old");
    const auto writes = [&](std::vector<PlannedTensor> plan, SafetensorsWriteOptions options = {}) {
      return [&dir, plan, options] { write_safetensors(dir / "f", plan, {}, options); };
    };
    const PlannedTensor good{"a", Dtype::f32, {2}, [] { return ones({2}); }};
    const auto other = [&](std::function<Tensor()> make) {
      return PlannedTensor{"b", Dtype::f32, {2}, std::move(make)};
    };
    CHECK_THROWS_AS(writes({good, other([] { return ones({3}); })})(), StateError);
    CHECK_THROWS_AS(writes({good, other([] { return ones({2}, Dtype::f64); })})(), StateError);
    CHECK_THROWS_AS(writes({good, other([] { return Tensor(); })})(), StateError);
    CHECK_THROWS_AS(writes({good, other([]() -> Tensor { throw ShapeError("[test] no"); })})(), ShapeError);
    CHECK_THROWS_AS(writes({good, good})(), KeyError);
    CHECK_THROWS_AS(writes({good}, {.tied = true})(), ValueError);
    CHECK(slurp(dir / "f") == "old");
    CHECK(dir.size() == 1);
  }
}
