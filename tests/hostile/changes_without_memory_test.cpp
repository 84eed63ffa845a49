/// Memory that runs out at any allocation of a change to a module: the module is as it was.
#include "coppice/nn.h"
#include "coppice/sparsity/prune/prune.h"
#include "engine/io/io_support.h"
#include "hostile/allocation.h"
#include "hostile/small_run.h"

using namespace coppice;
using namespace coppice::test;
namespace prune = coppice::sparsity::prune;

namespace {

/// Names in order, shapes and numbers of all tensors, and what is masked and parametrized.
std::string portrait(nn::Module& m) {
  std::string out = m.describe();
  for (const auto& [name, t] : nn::all_tensors(m)) {
    out += cat(' ', name, t.shape(), t.requires_grad());
    out.append(reinterpret_cast<const char*>(t.bytes()), t.nbytes());
  }
  for (const auto& [path, part] : m.named_modules())
    for (const auto& [name, derived] : part->derived()) out += cat(" derived ", name, nn::is_masked(*part, name));
  return out;
}

/// `change` on a copy of `base`, with every allocation of it failing in turn.
template <class Change>
void check_all_or_nothing(const nn::Module& base, Change change) {
  bool half = false;
  const int allocations = fail_everywhere(
      [&] {
        const nn::ModulePtr m = base.clone();
        std::string before = portrait(*m);
        try {
          change(*m);
        } catch (...) {
          stop_failing();
          half = half || portrait(*m) != before;
          throw;
        }
      },
      [&] { return !half; });
  CHECK(allocations > 5);
  CHECK_FALSE(half);
}

}  // namespace

TEST_SUITE("hostile/changes_without_memory") {
  TEST_CASE("masks") {
    set_num_threads(1);
    nn::Linear m(3, 2);
    check_all_or_nothing(m, [](nn::Module& x) { prune::l1_unstructured(x, "weight", 2); });
    check_all_or_nothing(m, [](nn::Module& x) { prune::identity(x, "bias"); });
    prune::l1_unstructured(m, "weight", 2);
    check_all_or_nothing(m, [](nn::Module& x) { prune::ln_structured(x, "weight", 1, 2, 0); });
    check_all_or_nothing(m, [](nn::Module& x) { prune::remove(x, "weight"); });
  }

  TEST_CASE("training, where weights may have got masks for the zeros that they have") {
    set_num_threads(1);
    SmallRun run = small_run();
    run.options.epochs = 1;
    const Tensor before = (*run.model)(run.data.x);
    const Generator::State random = default_generator().state();
    bool same = true, trained = false;
    const int allocations = fail_everywhere(
        [&] {
          const nn::ModulePtr model = run.model->clone();
          try {
            (void)sparsity::finetune(*model, run.data, run.options);
          } catch (...) {
            stop_failing();
            same = same && (*model)(run.data.x) == before && model->training() && default_generator().state() == random;
            throw;
          }
          trained = !((*model)(run.data.x) == before);
        },
        [&] { return same; });
    CHECK(allocations > 1000);
    CHECK(trained);
  }

  TEST_CASE("parametrizations") {
    set_num_threads(1);
    nn::Linear m(3, 2);
    const auto mask = [] { return std::make_shared<nn::FakeSparsity>(ones({2, 3})); };
    check_all_or_nothing(m, [&](nn::Module& x) { nn::parametrize::register_parametrization(x, "weight", mask()); });
    nn::parametrize::register_parametrization(m, "weight", mask());
    check_all_or_nothing(m, [&](nn::Module& x) { nn::parametrize::register_parametrization(x, "weight", mask()); });
    check_all_or_nothing(m, [](nn::Module& x) { nn::parametrize::remove_parametrizations(x, "weight"); });
  }

  TEST_CASE("masks of the other family") {
    set_num_threads(1);
    nn::Linear m(3, 2);
    nn::parametrize::register_parametrization(m, "weight", std::make_shared<nn::FakeSparsity>(ones({2, 3})));
    check_all_or_nothing(m, [](nn::Module& x) { nn::take_fake_masks(x); });
    Tensor(nn::masks_in(m).at(0).original).requires_grad_(false);
    check_all_or_nothing(m, [](nn::Module& x) { nn::take_fake_masks(x); });
  }

  TEST_CASE("modules put in the place of others: no hook is lost") {
    set_num_threads(1);
    const auto before = [](const nn::Module&, const TensorList&) -> std::optional<TensorList> { return std::nullopt; };
    const auto after = [](const nn::Module&, const TensorList&, const TensorList&) -> std::optional<TensorList> {
      return std::nullopt;
    };
    bool half = false;
    const auto count = [](const nn::Module& m) {
      return std::pair(m.forward_pre_hooks().size(), m.forward_hooks().size());
    };
    const auto change = [&](bool whole) {
      const auto a = std::make_shared<nn::ReLU>(), b = std::make_shared<nn::ReLU>(), c = std::make_shared<nn::ReLU>();
      const auto model = std::make_shared<nn::Sequential>(std::initializer_list<nn::ModulePtr>{a, b});
      for (const auto& m : {a, b, c}) m->register_forward_pre_hook(before), m->register_forward_hook(after);
      a->eval();
      try {
        if (whole)
          (void)nn::replace_modules(model, {{a.get(), b}, {b.get(), c}});
        else
          nn::carry_over(*a, *c);
      } catch (...) {
        stop_failing();
        const std::pair<std::size_t, std::size_t> one{1, 1};
        half = half || count(*a) != one || count(*b) != one || count(*c) != one || a->training() || !b->training() ||
               !c->training();
        throw;
      }
      half = half || count(*c) != std::pair<std::size_t, std::size_t>{2, 2};
    };
    for (const bool whole : {true, false}) {
      CAPTURE(whole);
      CHECK(fail_everywhere([&] { change(whole); }, [&] { return !half; }) > 5);
      CHECK_FALSE(half);
    }
  }

  TEST_CASE("modules of more names than are walked") {
    set_num_threads(1);
    nn::LSTM m(nn::LstmSettings{.input_size = 2, .hidden_size = 2, .num_layers = 5});  // 20 parameters
    check_all_or_nothing(m, [](nn::Module& x) { prune::l1_unstructured(x, "weight_hh_l2", 2); });
    prune::l1_unstructured(m, "weight_hh_l2", 2);
    check_all_or_nothing(m, [](nn::Module& x) { prune::remove(x, "weight_hh_l2"); });
  }
}
