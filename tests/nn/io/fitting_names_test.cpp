#include "coppice/nn/io/fitting_names.h"

#include <doctest/doctest.h>

#include "coppice/engine/create.h"
#include "coppice/nn/layers/container.h"
#include "coppice/nn/layers/linear.h"
#include "coppice/nn/layers/norm.h"
#include "coppice/nn/masks/families.h"
#include "coppice/nn/state_dict.h"

using namespace coppice;
using namespace coppice::nn;

namespace {

ModulePtr sequential(std::initializer_list<ModulePtr> modules) { return std::make_shared<Sequential>(modules); }

ModulePtr net() { return sequential({std::make_shared<Linear>(4, 3), std::make_shared<Linear>(3, 2)}); }

void add(NamedTensors& to, const std::string& prefix) { to.add_all(prefix, state_dict(*net())); }

NamedTensors below(const std::string& prefix) {
  NamedTensors out;
  add(out, prefix);
  return out;
}

/// The rules that are found fit, as load_state_dict() says itself; the first of them.
FittingNames fit(const NamedTensors& tensors) {
  const std::vector<FittingNames> found = fitting_names(*net(), tensors);
  REQUIRE_FALSE(found.empty());
  for (const FittingNames& f : found) {
    const ModulePtr model = net();
    const NamedTensors taken = renamed(tensors, f.rules);
    (void)attach_masks_of(*model, taken);
    CHECK_NOTHROW((void)load_state_dict(*model, taken, f.strict));
  }
  return found.front();
}

}  // namespace

TEST_SUITE("nn/io/fitting_names") {
  TEST_CASE("a wrapper's text before all names is stripped") {
    CHECK(fit(below("module.")).rules == Renaming{.strip = {"module."}});
    CHECK(fit(below("_orig_mod.")).rules == Renaming{.strip = {"_orig_mod."}});
    CHECK(fit(below("module._orig_mod.")).rules == Renaming{.strip = {"module._orig_mod."}});
  }

  TEST_CASE("a wrapper around a part of the model too") {
    NamedTensors given;
    for (const auto& [name, tensor] : state_dict(*net())) given.add(name[0] == '0' ? "module." + name : name, tensor);
    CHECK(fit(given).rules == Renaming{.strip = {"module."}});
  }

  TEST_CASE("what a compiler puts between names is cut out, with what stands before them") {
    const auto wrapped = [](const std::string& before, const std::string& between) {
      NamedTensors out;
      for (const auto& [name, tensor] : state_dict(*net()))
        out.add(cat(before, name[0], '.', name[0] == '0' ? between : "", name.substr(2)), tensor);
      return out;
    };
    CHECK(fit(wrapped("", "_orig_mod.")).rules == Renaming{.cut = {"_orig_mod."}});
    CHECK(fit(wrapped("", "module.")).rules == Renaming{.cut = {"module."}});
    CHECK(fit(wrapped("", "_fsdp_wrapped_module._orig_mod.")).rules ==
          Renaming{.cut = {"_orig_mod.", "_fsdp_wrapped_module."}});
    CHECK(fit(wrapped("net.", "_orig_mod.")).rules == Renaming{.strip = {"net."}, .cut = {"_orig_mod."}});
    NamedTensors beside = wrapped("model.", "_orig_mod.");
    beside.add("optimizer.step", ones({1}));
    CHECK(fit(beside).rules == Renaming{.key = "model", .cut = {"_orig_mod."}});
    CHECK(fitting_names(*net(), wrapped("", "unheard_of.")).empty());
  }

  TEST_CASE("a state dict beside other things is named by its key") {
    NamedTensors given = below("state_dict.");
    given.skipped() = {"epoch", "best_acc1"};
    CHECK(fit(given).rules == Renaming{.key = "state_dict"});
    NamedTensors trained = below("model.");
    trained.add("optimizer.state.0.exp_avg", ones({3, 4}));
    trained.add("optimizer.state.0.step", ones({1}));
    CHECK(fit(trained).rules == Renaming{.key = "model"});
  }

  TEST_CASE("deeper in, by its prefix: a checkpoint of Lightning") {
    NamedTensors given = below("state_dict.model.");
    given.add("state_dict.loss.weight", ones({2}));
    given.add("optimizer_states.0.state.0.exp_avg", ones({3, 4}));
    CHECK(fit(given).rules == Renaming{.prefix = "state_dict.model."});
  }

  TEST_CASE("what stands beside the right names is ignored by patterns that meet none of them") {
    NamedTensors given = below("");
    given.add("optimizer.state.0.exp_avg", ones({3, 4}));
    given.add("optimizer.state.1.exp_avg", ones({3}));
    CHECK(fit(given).rules == Renaming{.ignore = {"optimizer.*"}});
    given.add("0.running", ones({3}));  // "0.*" would take the weight too
    CHECK(fit(given).rules == Renaming{.ignore = {"0.running", "optimizer.*"}});
    CHECK(fit(given).strict);
    for (const char* name : {"x.a", "y.a", "z.a"}) given.add(name, ones({1}));
    CHECK(fit(given).rules == Renaming{});
    CHECK_FALSE(fit(given).strict);
  }

  TEST_CASE("of several state dicts the one that leaves out least comes first, and all are told") {
    NamedTensors given;
    add(given, "ema.");
    add(given, "model.");
    given.add("ema.decay", ones({1}));
    const auto found = fitting_names(*net(), given);
    REQUIRE(found.size() == 2);
    CHECK(found[0].rules.key == "ema");
    CHECK(found[0].rules.ignore == std::vector<std::string>{"decay"});
    CHECK(found[1].rules == Renaming{.key = "model"});
    CHECK(fitting_names(*net(), given, 1).size() == 1);
  }

  TEST_CASE("masks of both families and originals that stand alone count as what they belong to") {
    NamedTensors given;
    for (const auto& [name, tensor] : state_dict(*net())) {
      if (name == "0.weight") {
        given.add("module.0.weight_orig", tensor);
        given.add("module.0.weight_mask", ones({3, 4}));
      } else if (name == "1.weight") {
        given.add("module.1.parametrizations.weight.original", tensor);
        given.add("module.1.parametrizations.weight.0.mask", ones({2, 3}, Dtype::boolean));
      } else {
        given.add("module." + name, tensor);
      }
    }
    CHECK(fit(given).rules == Renaming{.strip = {"module."}});
  }

  TEST_CASE("counters of batches may be missing, and one number may have an axis") {
    const auto made = [] { return sequential({std::make_shared<BatchNorm1d>(3)}); };
    NamedTensors given;
    for (const auto& [name, tensor] : state_dict(*made()))
      given.add("module." + name, tensor.dim() == 0 ? tensor.reshape(Shape{1}) : tensor);
    CHECK(fitting_names(*made(), given).at(0).rules == Renaming{.strip = {"module."}});
    given.erase("module.0.num_batches_tracked");
    CHECK(fitting_names(*made(), given).at(0).rules == Renaming{.strip = {"module."}});
  }

  TEST_CASE("nothing is found where a tensor is missing, has another shape, or all fits already") {
    NamedTensors given = below("module.");
    given.erase("module.1.bias");
    CHECK(fitting_names(*net(), given).empty());
    given.add("module.1.bias", ones({3}));
    CHECK(fitting_names(*net(), given).empty());
    CHECK(fitting_names(*net(), {}).empty());
    CHECK(fitting_names(Sequential(), below("")).empty());
    CHECK(fit(below("")).rules == Renaming{});
  }

  TEST_CASE("names of thousands of dots cost their length") {
    NamedTensors given;
    std::string dots;
    for (int i = 0; i < 30000; ++i) dots += "0.";
    given.add(dots + "weight", ones({3, 4}));
    CHECK(fitting_names(*net(), given).empty());
  }
}
