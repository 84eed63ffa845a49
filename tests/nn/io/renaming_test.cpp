#include "coppice/nn/io/renaming.h"

#include "coppice/engine/create.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using nn::renamed, nn::Renaming;
using Names = std::vector<std::string>;

namespace {

NamedTensors tensors_of(const Names& names) {
  NamedTensors out;
  for (std::size_t i = 0; i < names.size(); ++i) out.add(names[i], Tensor::of(static_cast<double>(i)));
  return out;
}

std::string refused(const NamedTensors& tensors, const Renaming& rules) {
  return outcome([&] { return renamed(tensors, rules); });
}

}  // namespace

TEST_SUITE("nn/io/renaming") {
  TEST_CASE("what stands below a key is taken without it, and what stands beside is named") {
    NamedTensors given = tensors_of({"model.0.weight", "optimizer.state.0", "model.0.bias"});
    given.skipped() = {"epoch"};
    given.metadata() = {{"format", "pt"}};
    const NamedTensors out = renamed(given, {.key = "model"});
    CHECK(out.names() == Names{"0.weight", "0.bias"});
    CHECK(out.at("0.bias").shares_storage(given.at("model.0.bias")));
    CHECK(out.skipped() == Names{"epoch", "optimizer.state.0"});
    CHECK(out.metadata() == given.metadata());
    CHECK(renamed(tensors_of({"a.b.w", "a.bw"}), {.key = "a.b"}).names() == Names{"w"});
  }

  TEST_CASE("a prefix is any text: names that begin with it are taken") {
    CHECK(renamed(tensors_of({"net_a", "net_b", "other"}), {.prefix = "net_"}).names() == Names{"a", "b"});
    CHECK(renamed(tensors_of({"s.m.a", "s.n.a"}), {.key = "s", .prefix = "m."}).names() == Names{"a"});
  }

  TEST_CASE("a text to strip goes where it is, one after the other, and takes nothing else away") {
    CHECK(renamed(tensors_of({"module.a", "b"}), {.strip = {"module."}}).names() == Names{"a", "b"});
    CHECK(renamed(tensors_of({"module._orig_mod.a"}), {.strip = {"module.", "_orig_mod."}}).names() == Names{"a"});
    CHECK(renamed(tensors_of({"module.module.a"}), {.strip = {"module."}}).names() == Names{"module.a"});
  }

  TEST_CASE("a text to cut goes wherever a part begins with it") {
    const Names given{"enc._orig_mod.0._orig_mod.w", "_orig_mod._orig_mod.b", "x_orig_mod.c", "_orig_mod", "d"};
    CHECK(renamed(tensors_of(given), {.cut = {"_orig_mod."}}).names() ==
          Names{"enc.0.w", "b", "x_orig_mod.c", "_orig_mod", "d"});
    CHECK(renamed(tensors_of({"module.a._orig_mod.b"}), {.strip = {"module."}, .cut = {"_orig_mod."}}).names() ==
          Names{"a.b"});
    CHECK(renamed(tensors_of({"a.x.y.b"}), {.cut = {"x.", "y."}}).names() == Names{"a.b"});
    CHECK(renamed(tensors_of({"a.x."}), {.cut = {"x."}, .ignore = {"a."}}).empty());
    CHECK(refused(tensors_of(given), {.cut = {"odd."}}).find("no part of a name begins with 'odd.'") !=
          std::string::npos);
    CHECK(refused(tensors_of({"a.x.b", "a.b"}), {.cut = {"x."}}).starts_with("KeyError"));
  }

  TEST_CASE("patterns leave out by the names in the file, by the new ones, and by public ones") {
    const NamedTensors given = tensors_of({"module.fc.weight_orig", "module.fc.weight_mask", "module.a"});
    for (const char* pattern : {"module.fc.*", "fc.*", "fc.weight", "module.fc.weight"}) {
      CAPTURE(pattern);
      const NamedTensors out = renamed(given, {.strip = {"module."}, .ignore = {pattern}});
      CHECK(out.names() == Names{"a"});
      CHECK(out.skipped() == Names{"module.fc.weight_orig", "module.fc.weight_mask"});
    }
  }

  TEST_CASE("no rules change nothing, and what would have no name is left out") {
    CHECK(renamed(tensors_of({"a", "b"}), {}).names() == Names{"a", "b"});
    const NamedTensors out = renamed(tensors_of({"net", "net.a"}), {.strip = {"net"}});
    CHECK(out.names() == Names{".a"});
    CHECK(out.skipped() == Names{"net"});
  }

  TEST_CASE("a rule that meets no name is a KeyError that says how names begin") {
    const NamedTensors given = tensors_of({"model.a", "model.b", "step"});
    CHECK(refused(given, {.key = "state_dict"}) ==
          "KeyError: [renamed] no tensor stands below the key 'state_dict'; the names begin with 'model.', 'step'");
    CHECK(refused(given, {.key = "mode"}).find("KeyError") == 0);  // a key is a whole part of a name
    CHECK(refused(given, {.key = "model", .prefix = "c"}).find("no name begins with the prefix 'c'") !=
          std::string::npos);
    CHECK(refused(given, {.strip = {"module."}}).find("'module.', which is to be stripped") != std::string::npos);
    CHECK(refused(given, {.ignore = {"fc.*"}}).find("the pattern 'fc.*' matches no tensor") != std::string::npos);
    NamedTensors many;
    for (int i = 0; i < 30; ++i) many.add(cat("n", i), ones({1}));
    const std::string said = refused(many, {.key = "k"});
    CHECK(said.find("'n19', …") != said.npos);
    CHECK(said.find("'n20'") == said.npos);
  }

  TEST_CASE("two tensors of one new name are a KeyError") {
    CHECK(refused(tensors_of({"module.a", "a"}), {.strip = {"module."}}) ==
          "KeyError: [renamed] two tensors would be 'a'; one of them is 'a'");
  }
}
