#include "coppice/engine/io/named_tensors.h"

#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;

TEST_SUITE("engine/io/named_tensors") {
  TEST_CASE("entries keep the order in which they came") {
    NamedTensors t{{"b", Tensor::of(1)}, {"a", Tensor::of({1, 2})}};
    t.add("c", Tensor::of(3));
    CHECK(t.names() == std::vector<std::string>{"b", "a", "c"});
    CHECK(t.nbytes() == 16);
    t.set("a", Tensor::of(9));
    CHECK(t.names() == std::vector<std::string>{"b", "a", "c"});
    CHECK(t.at("a").item() == 9);
    t.set("d", Tensor::of(4));
    CHECK(t.erase("b"));
    CHECK(!t.erase("b"));
    CHECK(t.names() == std::vector<std::string>{"a", "c", "d"});
    CHECK(t.at("d").item() == 4);
    CHECK(t.find("b") == nullptr);
  }

  TEST_CASE("maps are joined under a prefix and taken apart again") {
    NamedTensors t{{"a", Tensor::of(1)}};
    t.add_all("model.", {{"a", Tensor::of(2)}, {"b", Tensor::of(3)}});
    CHECK(t.names() == std::vector<std::string>{"a", "model.a", "model.b"});
    CHECK(t.below("model.").names() == std::vector<std::string>{"a", "b"});
    CHECK(t.below("model.").at("a").item() == 2);
    CHECK(t.below("x").empty());
    CHECK(outcome([&] {
            t.add_all("model.", {{"b", Tensor::of(3)}});
            return 0;
          }).starts_with("KeyError"));
  }

  TEST_CASE("a name exists once, and what is absent is named") {
    NamedTensors t{{"w", Tensor::of(1)}};
    CHECK(outcome([&] {
            t.add("w", Tensor::of(2));
            return 0;
          }).starts_with("KeyError: [NamedTensors::add] 'w' exists"));
    CHECK(outcome([&] { return t.at("v"); }).starts_with("KeyError: [NamedTensors::at] no tensor is named 'v'"));
    CHECK(outcome([&] {
            t.add("u", Tensor());
            return 0;
          }).starts_with("StateError"));
    CHECK(outcome([&] {
            t.set("w", Tensor());
            return 0;
          }).starts_with("StateError"));
    CHECK(t.size() == 1);
  }

  TEST_CASE("a copy shares the numbers and not the order") {
    const NamedTensors a{{"w", Tensor::of({1, 2})}};
    NamedTensors b = a;
    b.add("v", Tensor::of(1));
    CHECK(a.size() == 1);
    CHECK(b.at("w").shares_storage(a.at("w")));
  }
}
