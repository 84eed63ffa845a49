/// Tied tensors: names of the same bytes, which a safetensors file holds once.

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// "b", "a" and "c" of one storage, "view" of the same bytes in another shape, "own" of equal values.
NamedTensors tied() {
  const Tensor w = Tensor::of({{1, 2}, {3, 4}});
  NamedTensors out{{"b", w}, {"own", w.clone()}, {"a", w}, {"view", w.reshape({4})}, {"c", w.detach()}};
  out.metadata() = {{"format", "pt"}, {"note", "none"}};
  return out;
}

}  // namespace

TEST_SUITE("engine/io/safetensors_ties") {
  TEST_CASE("one copy is written, under the lowest name, with the others noted, and tied again by the reader") {
    const TempDir dir;
    write_safetensors(dir / "t.safetensors", tied(), {.tied = true});
    const SafetensorsHeader header = read_safetensors_header(dir / "t.safetensors");
    std::vector<std::string> names;
    for (const SafetensorsEntry& entry : header.entries) names.push_back(entry.name);
    CHECK(names == std::vector<std::string>{"own", "a", "view"});
    CHECK(header.metadata ==
          std::map<std::string, std::string>{
              {"b", "a"}, {"c", "a"}, {"coppice.tied_at", "0 4"}, {"format", "pt"}, {"note", "none"}});

    const NamedTensors back = read_safetensors(dir / "t.safetensors");
    check_same_bits(back, tied());
    CHECK(back.metadata() == tied().metadata());
    CHECK(back.at("b").shares_storage(back.at("a")));
    CHECK(back.at("c").shares_storage(back.at("a")));
    CHECK(!back.at("own").shares_storage(back.at("a")));
    Tensor(back.at("b")).fill_(7);
    CHECK(back.at("a").at({1, 1}) == 7);
  }

  TEST_CASE("places are noted only where tied names do not stand behind the others") {
    const TempDir dir;
    const Tensor w = Tensor::of({1, 2});
    const NamedTensors last{{"a", w}, {"x", Tensor::of({3})}, {"b", w}, {"c", w}};
    save_tensors(dir / "t.safetensors", last);
    CHECK(!read_safetensors_header(dir / "t.safetensors").metadata.contains("coppice.tied_at"));
    check_same_bits(load_tensors(dir / "t.safetensors"), last);
    const NamedTensors other{{"a", w}, {"x", Tensor::of({3})}, {"c", w}, {"b", w}};
    save_tensors(dir / "t.safetensors", other);
    CHECK(read_safetensors_header(dir / "t.safetensors").metadata.at("coppice.tied_at") == "3 2");
    check_same_bits(load_tensors(dir / "t.safetensors"), other);
  }

  TEST_CASE("places that are no places are left in the metadata, and the names stand at the end") {
    const TempDir dir;
    NamedTensors t{{"m", Tensor::of({1})}, {"z", Tensor::of({2})}};
    for (const char* places : {"", "x", "0", "0 0", "0 4", "-1 0", "0  1", "0,1", "99999999999999999999 0", "0 1 2"}) {
      CAPTURE(places);
      t.metadata() = {{"a", "m"}, {"b", "m"}, {"coppice.tied_at", places}};
      write_safetensors(dir / "t.safetensors", t);
      const NamedTensors back = read_safetensors(dir / "t.safetensors");
      CHECK(back.names() == std::vector<std::string>{"m", "z", "a", "b"});
      CHECK(back.metadata() == std::map<std::string, std::string>{{"coppice.tied_at", places}});
    }
    t.metadata() = {{"a", "m"}, {"b", "m"}, {"coppice.tied_at", "3 0"}};
    write_safetensors(dir / "t.safetensors", t);
    CHECK(read_safetensors(dir / "t.safetensors").names() == std::vector<std::string>{"b", "m", "z", "a"});
  }

  TEST_CASE("without the option every name has its bytes; save_tensors sets it, and .pt holds one storage") {
    const TempDir dir;
    write_safetensors(dir / "full.safetensors", tied());
    CHECK(read_safetensors_header(dir / "full.safetensors").entries.size() == 5);
    save_tensors(dir / "t.safetensors", tied());
    CHECK(read_safetensors_header(dir / "t.safetensors").entries.size() == 3);
    save_tensors(dir / "t.pt", load_tensors(dir / "t.safetensors"));
    const NamedTensors back = load_tensors(dir / "t.pt");
    CHECK(back.at("c").shares_storage(back.at("b")));
    CHECK(!back.at("own").shares_storage(back.at("b")));
  }

  TEST_CASE("checksums hold for tied tensors too") {
    const TempDir dir;
    write_safetensors(dir / "t.safetensors", tied(), {.checksums = true, .tied = true});
    const NamedTensors back = read_safetensors(dir / "t.safetensors");
    CHECK(back.compared() == 3);
    CHECK(back.size() == 5);
  }

  TEST_CASE("a name that the metadata has already is written whole, and so are empty tensors") {
    const TempDir dir;
    NamedTensors t = tied();
    t.metadata()["b"] = "mine";
    t.add("format", t.at("a"));
    t.add("empty", Tensor::empty({0}));
    t.add("void", t.at("empty"));
    write_safetensors(dir / "t.safetensors", t, {.tied = true});
    CHECK(read_safetensors_header(dir / "t.safetensors").metadata.at("b") == "mine");
    const NamedTensors back = read_safetensors(dir / "t.safetensors");
    CHECK(back.size() == t.size());
    for (const auto& [name, tensor] : t) CHECK(back.at(name) == tensor);
    CHECK(back.metadata() == t.metadata());
  }

  TEST_CASE("only a key that is no tensor with a text that is one is a note") {
    const TempDir dir;
    NamedTensors t{{"a", Tensor::of({1})}, {"x", Tensor::of({2})}};
    t.metadata() = {{"format", "a"}, {"coppice.note", "a"}, {"x", "a"}, {"y", "z"}};
    write_safetensors(dir / "t.safetensors", t);
    const NamedTensors back = read_safetensors(dir / "t.safetensors");
    CHECK(back.names() == t.names());
    CHECK(back.at("x").item() == 2);
    CHECK(back.metadata() == t.metadata());
  }

  TEST_CASE("a note may name another one, and none names itself") {
    const TempDir dir;
    NamedTensors t{{"m", Tensor::of({1})}, {"z", Tensor::of({2})}};
    t.metadata() = {{"a", "b"}, {"b", "c"}, {"c", "m"}, {"p", "q"}, {"q", "p"}, {"s", "s"}};
    write_safetensors(dir / "t.safetensors", t);
    const NamedTensors back = read_safetensors(dir / "t.safetensors");
    CHECK(back.names() == std::vector<std::string>{"m", "z", "c", "b", "a"});
    for (const char* name : {"a", "b", "c"}) CHECK(back.at(name).shares_storage(back.at("m")));
    CHECK(back.metadata() == std::map<std::string, std::string>{{"p", "q"}, {"q", "p"}, {"s", "s"}});
  }

  TEST_CASE("the name of a tensor that is left out is no tie") {
    const TempDir dir;
    spill(dir / "t.safetensors", st(R"({"__metadata__":{"u":"y"},"u":{"dtype":"U16","shape":[1],"data_offsets":[0,2]},)"
                                    R"("y":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                                    "ab\7"));
    const NamedTensors read = read_safetensors(dir / "t.safetensors");
    CHECK(read.names() == std::vector<std::string>{"y"});
    CHECK(read.metadata().empty());  // or "u" would be tied to "y" in what is written of it
    CHECK(read.skipped() == std::vector<std::string>{"u: U16 of shape (1,)"});
  }

  TEST_CASE("notes are bounded as tensors are") {
    const TempDir dir;
    NamedTensors t;
    t.add("a", coppice::zeros({1000}));
    for (int i = 0; i < 100; ++i) t.metadata()[cat("t", i)] = "a";
    write_safetensors(dir / "t.safetensors", t);
    CHECK(read_safetensors(dir / "t.safetensors").size() == 101);
    const auto said = [&](const Limits& limits) {
      return outcome([&] { return read_safetensors(dir / "t.safetensors", {.limits = limits}); });
    };
    CHECK(said({.tensors = 100}).find("(raise Limits::tensors)") != std::string::npos);
    CHECK(said({.extra_bytes = 1000}).find("(raise Limits::extra_bytes)") != std::string::npos);
  }
}
