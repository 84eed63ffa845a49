// global_unstructured ranks parameters as they stand; its masks are those of the joined ones.
#include <doctest/doctest.h>

#include <cmath>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"

using namespace coppice;
using namespace coppice::sparsity;
using namespace coppice::sparsity::prune;

namespace {

class Holder final : public nn::Implements<Holder> {
 public:
  static constexpr std::string_view kType = "Holder";
  explicit Holder(Tensor weight) { register_parameter("weight", std::move(weight)); }

 private:
  Tensor forward(const Tensor& x) const override { return x; }
};

/// L1Unstructured under another name: what every method of one's own takes, the joined entries that are left.
class Joined final : public Method {
 public:
  explicit Joined(Amount amount) : inner_(amount) {}
  Tensor compute_mask(const Tensor& scores, const Tensor& mask) const override {
    CHECK(scores.dim() == 1);
    CHECK(mask == ones_like(mask));
    return inner_.compute_mask(scores, mask);
  }

 private:
  L1Unstructured inner_;
};

/// Two modules of three types each, the second of which is pruned already; few values, so many ties.
std::vector<std::unique_ptr<Holder>> modules(std::uint64_t seed, bool mixed) {
  Generator g(seed);
  const Dtype types[] = {Dtype::f32, mixed ? Dtype::f16 : Dtype::f32, mixed ? Dtype::f64 : Dtype::f32};
  std::vector<std::unique_ptr<Holder>> out;
  for (int i = 0; i < 3; ++i)
    out.push_back(std::make_unique<Holder>(randint(-6, 7, {7, 5 + i}, Dtype::i64, &g).to(types[i])));
  l1_unstructured(*out[1], "weight", 0.4);
  return out;
}

std::vector<Target> targets_of(const std::vector<std::unique_ptr<Holder>>& all) {
  std::vector<Target> out;
  for (const auto& m : all) out.emplace_back(m.get(), "weight");
  return out;
}

}  // namespace

TEST_SUITE("sparsity/prune/global") {
  TEST_CASE("masks without joining equal those of the joined parameters, for any types, scores and number of threads") {
    for (std::uint64_t seed = 0; seed < 12; ++seed)
      for (const int threads : {1, 2, 7}) {
        CAPTURE(seed);
        set_num_threads(threads);
        const auto a = modules(seed, seed % 2 == 1), b = modules(seed, seed % 2 == 1);
        TargetScores for_a, for_b;
        if (seed % 3 == 0) {
          Generator g(seed);
          const Tensor scores = randint(-9, 9, {35}, seed % 2 == 1 ? Dtype::i64 : Dtype::f32, &g);  // another shape
          for_a[{a[0].get(), "weight"}] = scores;
          for_b[{b[0].get(), "weight"}] = scores;
        }
        for (const Amount amount : {Amount(0.3), Amount(0.5), Amount(11)}) {
          global_unstructured(targets_of(a), L1Unstructured(amount), for_a);
          global_unstructured(targets_of(b), Joined(amount), for_b);
          for (std::size_t i = 0; i < a.size(); ++i) {
            const Tensor mask = a[i]->tensor("weight_mask");
            CHECK(mask == b[i]->tensor("weight_mask"));  // type included
            CHECK(mask.dtype() == a[i]->tensor("weight").dtype());
            CHECK(a[i]->tensor("weight") == b[i]->tensor("weight"));
            CHECK(method_of(*a[i], "weight")->steps().size() == method_of(*b[i], "weight")->steps().size());
          }
        }
      }
    set_num_threads(2);
  }

  TEST_CASE("the CustomFromMask that a parameter gets shares its mask, so that masks are held once") {
    nn::Linear m(8, 8);
    global_unstructured({{&m, "weight"}}, L1Unstructured(0.5));
    const auto method = std::dynamic_pointer_cast<const CustomFromMask>(method_of(m, "weight"));
    REQUIRE(method != nullptr);
    CHECK(method->mask().shares_storage(m.tensor("weight_mask")));
  }

  TEST_CASE("integers among floats rank as they would joined: rounded to the common type") {
    // As float16, 2049 is 2048 and ties with it: the first one goes.
    Holder a(Tensor::of({1, 1})), b(Tensor::of({3000, 2048}).to(Dtype::f16));
    const Tensor whole = Tensor::of({2049, 5000}).to(Dtype::i32);
    global_unstructured({{&a, "weight"}, {&b, "weight"}}, L1Unstructured(1), {{{&a, "weight"}, whole}});
    CHECK(a.tensor("weight_mask") == Tensor::of({0, 1}));
    CHECK(b.tensor("weight_mask") == Tensor::of({1, 1}).to(Dtype::f16));
  }

  TEST_CASE("masks of other numbers than 0 and 1: only what is exactly 1 takes part") {
    Holder a(Tensor::of({1, 2, 3, 4})), b(Tensor::of({0.5, 5}));
    custom_from_mask(a, "weight", Tensor::of({0.5, 1, 1, 2}));
    global_unstructured({{&a, "weight"}, {&b, "weight"}}, L1Unstructured(2));
    CHECK(a.tensor("weight_mask") == Tensor::of({0.25, 0, 1, 4}));  // times itself, as PyTorch multiplies masks
    CHECK(b.tensor("weight_mask") == Tensor::of({0, 1}));
    CHECK_THROWS_AS(global_unstructured({{&a, "weight"}}, L1Unstructured(2)), ValueError);  // one entry is left
  }

  TEST_CASE("random entries of all parameters: as many as asked, and none twice") {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const auto all = modules(seed, false);
      Generator g(seed);
      const auto left = [&] {
        std::int64_t sum = 0;
        for (const auto& m : all)
          sum += nn::is_masked(*m, "weight") ? count_nonzero(m->tensor("weight_mask")) : m->tensor("weight").numel();
        return sum;
      };
      const std::int64_t before = left();
      global_unstructured(targets_of(all), RandomUnstructured(20, TieRule::lowest_index, &g));
      CHECK(left() == before - 20);
    }
  }

  TEST_CASE("undefined scores and null modules are refused before anything changes") {
    nn::Linear m(2, 2);
    CHECK_THROWS_AS(global_unstructured({{&m, "weight"}, {nullptr, "weight"}}, L1Unstructured(1)), TypeError);
    CHECK_THROWS_AS(global_unstructured({{&m, "weight"}}, L1Unstructured(1), {{{&m, "weight"}, Tensor()}}), TypeError);
    CHECK_FALSE(is_pruned(m));
  }
}
