// TestBaseDataSparsifier and TestNormDataSparsifiers of PyTorch's test_data_sparsifier.py, under their names. The
// checks run in their order over the same data, which the second of them prunes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "coppice/engine.h"
#include "coppice/nn.h"
#include "coppice/sparsity/data/data_norm_sparsifier.h"
#include "coppice/sparsity/mask_ops.h"
#include "sparsity/data/row_sparsifier.h"

using namespace coppice;
using namespace coppice::sparsity;
using coppice::test::RowSparsifier;

namespace {

using Sparsifier = std::unique_ptr<BaseDataSparsifier>;
struct Configured {
  std::string name;
  Datum data;
  Arguments config;
};

/// Data of one test and what makes the sparsifier under test of a list.
struct Subject {
  DataList list;
  std::vector<Configured> added;
  Arguments defaults;
  std::function<Sparsifier(const DataList&)> make;

  [[nodiscard]] Sparsifier sparsifier() const {
    Sparsifier out = make(list);
    for (const Configured& c : added) out->add_data(c.name, c.data, c.config);
    return out;
  }
  [[nodiscard]] std::vector<Configured> all() const {
    std::vector<Configured> out;
    for (const auto& [name, data] : list) out.push_back({name, data, defaults});
    out.insert(out.end(), added.begin(), added.end());
    return out;
  }
};

Arguments over(const Arguments& base, const Arguments& config) {
  Arguments out = base;
  for (const auto& [key, value] : config) out.set(key, value);
  return out;
}

double mean_of(const Tensor& mask) { return 1 - sparsity_of(mask); }

void check_constructor(const Subject& subject) {
  const Sparsifier s = subject.sparsifier();
  CHECK(s->size() == subject.list.size() + subject.added.size());
  for (const auto& [name, data, config] : subject.all()) {
    const std::string& which = name;
    CAPTURE(which);
    CHECK(s->contains(name));
    CHECK(s->group(name) == over(subject.defaults, config));
  }
}

void check_squash_mask(const Subject& subject) {
  const Sparsifier s = subject.sparsifier();
  for (const std::string& name : s->names()) CHECK(s->is_parametrized(name));
  s->step();
  s->squash_mask();
  for (const std::string& name : s->names()) {
    CHECK_FALSE(s->is_parametrized(name));
    CHECK_THROWS_AS((void)s->get_data(name, true), ValueError);
  }
}

void check_add_data(const Subject& subject) {
  const Sparsifier s = subject.sparsifier();
  const CatchWarnings caught;
  for (const auto& [name, data, config] : subject.all()) {
    const std::string& which = name;
    CAPTURE(which);
    CHECK(s->get_data(name) == data.tensor());
    s->step();
    const Tensor mask = s->get_mask(name).clone();
    const Tensor old = data.tensor().detach().clone();
    const Arguments before = s->group(name);
    const Tensor other = rand(data.tensor().shape());
    s->add_data(name, other);
    CHECK(s->get_data(name).is(other));
    CHECK(s->get_mask(name) == mask);
    CHECK(data.tensor() == old);
    CHECK(s->group(name) == before);
  }
  CHECK(caught.texts().size() == subject.all().size());
}

void check_step_of_rows(const Subject& subject) {
  const Sparsifier s = subject.sparsifier();
  for (const auto& [name, data, config] : subject.all()) {
    CHECK(s->get_data(name, false) == data.tensor());
    CHECK(s->get_data(name, true) == data.tensor());
    CHECK(select(s->get_mask(name), 0, 0) == ones({data.tensor().size(1)}));
  }
  for (int i = 0; i < 3; ++i) s->step();
  for (const auto& [name, data, config] : subject.all()) {
    const Tensor none = zeros({data.tensor().size(1)});
    CHECK(select(s->get_data(name, false), 0, 0) == none);
    CHECK(s->get_data(name, true) == data.tensor());
    CHECK(select(s->get_mask(name), 0, 0) == none);
    CHECK(s->state(name).integer("step_count") == 3);
  }
}

void check_state_dict(const Subject& subject) {
  const Sparsifier s1 = subject.sparsifier();
  const Sparsifier s2 = subject.make({subject.list[0]});
  s1->step();
  const DataSparsifierState state = s1->state_dict();
  CHECK_FALSE(s2->size() == s1->size());
  CHECK_FALSE(s2->get_mask(subject.list[0].first) == s1->get_mask(subject.list[0].first));
  s2->load_state_dict(state);
  CHECK(s2->names() == s1->names());
  CHECK(state.state.size() == s1->size());
  for (const std::string& name : s1->names()) {
    CAPTURE(name);
    CHECK(state.state.find(name)->mask == to_coo(s1->get_mask(name)));
    CHECK(s2->get_mask(name) == s1->get_mask(name));
    CHECK(s2->state(name) == s1->state(name));
    CHECK(s2->group(name) == s1->group(name));
    CHECK(s2->get_data(name, false) == s1->get_data(name, false));
    CHECK(s2->get_data(name, true) == s1->get_data(name, true));
    CHECK(s2->is_parametrized(name));
    CHECK(s1->is_parametrized(name));
  }
}

void check_memory_reference(const Subject& subject) {
  const Sparsifier s = subject.sparsifier();
  for (const auto& [name, data, config] : subject.all()) {
    Tensor t = data.tensor();
    const Tensor values = rand(t.shape());
    t.replace_(values);
    CHECK(s->get_data(name).shares_storage(values));
    CHECK(s->get_data(name) == values);
  }
}

void run_checks(const Subject& subject, const std::function<void(const Subject&)>& check_step) {
  manual_seed(1);
  check_constructor(subject);
  check_squash_mask(subject);
  check_add_data(subject);
  check_step(subject);
  check_state_dict(subject);
  check_memory_reference(subject);
}

/// Tensors, or parameters, of these shapes.
Datum datum(const Shape& shape, bool parameter) {
  Tensor t = rand(shape);
  if (parameter) t.requires_grad_();
  return t;
}
std::shared_ptr<nn::Embedding> embedding(std::int64_t n, std::int64_t d) {
  return std::make_shared<nn::Embedding>(n, d);
}
std::shared_ptr<nn::EmbeddingBag> bag(std::int64_t n, std::int64_t d) {
  return std::make_shared<nn::EmbeddingBag>(n, d);
}
DataList embeddings() {
  return {{"emb1", embedding(10, 3)}, {"emb1_bag", bag(10, 3)}, {"emb2", embedding(20, 3)}, {"emb2_bag", bag(20, 3)}};
}

void run_base(const DataList& list, const std::vector<Datum>& added) {
  const Arguments defaults{{"test", std::int64_t{3}}};
  run_checks({list,
              {{"added1", added[0], {{"test", std::int64_t{7}}}}, {"added2", added[1], {{"test", std::int64_t{8}}}}},
              defaults,
              [=](const DataList& data) { return std::make_unique<RowSparsifier>(data, defaults); }},
             check_step_of_rows);
}

/// Share of zeros of one datum between which PyTorch's test looks.
std::pair<double, double> bounds(const Tensor& data, const Arguments& config) {
  const auto block = config.integers("sparse_block_shape");
  const double cells = static_cast<double>(data.numel()), area = static_cast<double>(block[0] * block[1]);
  const double blocks = std::ceil(static_cast<double>(data.size(0)) / static_cast<double>(block[0])) *
                        std::ceil(static_cast<double>(data.size(1)) / static_cast<double>(block[1]));
  const double pruned = std::nearbyint(blocks * config.number("sparsity_level"));
  const double most = pruned * std::min(area, config.number("zeros_per_block"));
  return {std::round(pruned / cells * 1000) / 1000, std::min(1.0, std::round(most / cells * 1000) / 1000)};
}

void check_step_of_norms(const Subject& subject) {
  const Sparsifier s = subject.sparsifier();
  for (const std::string& name : s->names()) CHECK(mean_of(s->get_mask(name)) == 1);
  s->step();
  for (const auto& [name, data, config] : subject.all()) {
    const std::string& which = name;
    CAPTURE(which);
    const Tensor mask = s->get_mask(name);
    const auto [low, high] = bounds(data.tensor(), s->group(name));
    const double reached = std::round(sparsity_of(mask) * 1000) / 1000;
    CHECK(mask.dtype() == Dtype::i8);
    CHECK(reached >= low);
    CHECK(reached <= high);
    CHECK(reached > 0);
  }
  const CatchWarnings caught;
  const Sparsifier one = subject.make({});
  for (int i = 0; i < 100; ++i) {
    one->add_data("replaced", rand({20, 20}));
    one->step();
    CHECK(sparsity_of(one->get_mask("replaced")) > 0);
  }
}

void check_step_2_of_4(const std::string& norm) {
  const Tensor data = rand({4, 4});
  DataNormSparsifier s({{"test", data}},
                       {.sparsity_level = 1, .sparse_block_shape = {1, 4}, .zeros_per_block = 2, .norm = norm});
  s.step();
  const Tensor mask = s.get_mask("test");
  CHECK(mean_of(mask) == 0.5);
  for (std::int64_t row = 0; row < 4; ++row) CHECK(count_nonzero(select(mask, 0, row)) == 2);
}

/// What PyTorch's check means and never reaches: fresh data for every case.
void check_sparsity_level(const std::string& norm) {
  using Block = std::array<std::int64_t, 2>;
  for (const std::int64_t side : {4, 8})
    for (const double level : {-1.0, 0.0, 0.5, 1.0, 2.0})
      for (const Block& block : {Block{1, 1}, Block{1, 4}, Block{2, 2}, Block{4, 1}})
        for (std::int64_t zeros = 0; zeros <= std::min<std::int64_t>(4, block[0] * block[1]); ++zeros) {
          CAPTURE(side);
          CAPTURE(level);
          CAPTURE(block[0]);
          CAPTURE(block[1]);
          CAPTURE(zeros);
          DataNormSparsifier s(
              {{"data", rand({side, side})}},
              {.sparsity_level = level, .sparse_block_shape = block, .zeros_per_block = zeros, .norm = norm});
          s.step();
          s.squash_mask();
          CHECK(sparsity_of(s.get_mask("data")) ==
                std::clamp(level, 0.0, 1.0) * static_cast<double>(zeros) / static_cast<double>(block[0] * block[1]));
        }
}

void run_norm(const DataList& list, const std::vector<Datum>& added) {
  using List = std::vector<std::int64_t>;
  const Arguments defaults{
      {"sparsity_level", 0.5}, {"sparse_block_shape", List{1, 4}}, {"zeros_per_block", std::int64_t{4}}};
  const auto own = [](double level) {
    return Arguments{
        {"sparsity_level", level}, {"sparse_block_shape", List{2, 3}}, {"zeros_per_block", std::int64_t{6}}};
  };
  for (const std::string norm : {"L1", "L2"}) {
    CAPTURE(norm);
    run_checks({list,
                {{"added1", added[0], own(0.7)}, {"added2", added[1], own(0.3)}},
                defaults,
                [=](const DataList& data) {
                  return std::make_unique<DataNormSparsifier>(data,
                                                              DataNormOptions{.zeros_per_block = 4, .norm = norm});
                }},
               check_step_of_norms);
    check_step_2_of_4(norm);
    check_sparsity_level(norm);
  }
}

}  // namespace

TEST_SUITE("sparsity/data/torch_data_sparsifier") {
  TEST_CASE("TestBaseDataSparsifier.test_tensors") {
    run_base({{"tensor1", datum({3, 3}, false)}, {"tensor2", datum({4, 4}, false)}, {"tensor3", datum({5, 5}, false)}},
             {datum({1, 1}, false), datum({4, 4}, false)});
  }
  TEST_CASE("TestBaseDataSparsifier.test_nn_parameters") {
    run_base({{"param1", datum({3, 3}, true)}, {"param2", datum({4, 4}, true)}, {"param3", datum({5, 5}, true)}},
             {datum({1, 1}, true), datum({4, 4}, true)});
  }
  TEST_CASE("TestBaseDataSparsifier.test_nn_embeddings") { run_base(embeddings(), {embedding(15, 3), bag(20, 3)}); }

  TEST_CASE("TestNormDataSparsifiers.test_tensors") {
    run_norm({{"tensor1", datum({1, 10}, false)}, {"tensor2", datum({4, 4}, false)}, {"tensor3", datum({1, 5}, false)}},
             {datum({1, 2}, false), datum({4, 4}, false)});
  }
  TEST_CASE("TestNormDataSparsifiers.test_nn_parameters") {
    run_norm({{"param1", datum({1, 8}, true)}, {"param2", datum({4, 4}, true)}, {"param3", datum({5, 5}, true)}},
             {datum({10, 10}, true), datum({4, 4}, true)});
  }
  TEST_CASE("TestNormDataSparsifiers.test_nn_embeddings") { run_norm(embeddings(), {embedding(15, 3), bag(20, 3)}); }
}
