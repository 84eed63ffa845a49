/// What stands beside tensors in a .pt file: objects, lists and keys, and the tensors that are in them.

#include "engine/io/torch_bytes.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::test::pickle;
using namespace std::string_literals;

TEST_SUITE("engine/io/torch_objects") {
  TEST_CASE("objects: their tensors by attribute, argument, item and key; what else they hold is not listed") {
    const std::string cls = global("a", "B");
    const auto left = [](const NamedTensors& t) { return t.skipped(); };
    using Lines = std::vector<std::string>;
    const NamedTensors attributes =
        read(pt(dict(cls + ")\x81}" + text("x") + kGood + "s" + text("n") + "K\1sb"), kFloats));
    CHECK(attributes.names() == Lines{"w.x"});
    CHECK(left(attributes) == Lines{"w: a.B, but for its tensors"});
    const NamedTensors slots = read(pt(dict(cls + ")\x81N}" + text("x") + kGood + "s\x86" + "b"), kFloats));
    CHECK(slots.names() == Lines{"w.x"});
    CHECK(read(pt(dict(cls + tuple({kGood, "K\1"}) + "R"), kFloats)).names() == Lines{"w.0"});
    CHECK(read(pt(dict(cls + ")R(" + kGood + kGood + "e"), kFloats)).names() == Lines{"w.0", "w.1"});
    const NamedTensors keys = read(pt(dict(cls + ")R(" + text("k") + kGood + text("n") + "K\1u"), kFloats));
    CHECK(keys.names() == Lines{"w.k"});
    CHECK(left(keys) == Lines{"w: a.B, but for its tensors", "w.n"});
    CHECK(read(pt(dict(cls + "]](" + text("k") + kGood + "ea\x85R"), kFloats)).names() == Lines{"w.k"});
    CHECK(read(pt(dict(cls + "](" + kGood + "e\x85R"), kFloats)).names() == Lines{"w.0"});
    CHECK(read(pt(dict(cls + ")K\1\x86" + "0)R"))).skipped() == Lines{"w: a.B"});
    CHECK(read(pt(dict(global("copyreg", "_reconstructor") + tuple({cls, global("builtins", "tuple"), tuple({kGood})}) +
                       "R"),
                  kFloats))
              .names() == Lines{"w.0"});
    CHECK(read(pt(dict(global("numpy.core.multiarray", "_reconstruct") +
                       tuple({global("numpy", "ndarray"), tuple({"K\0"s}), "C\1b"}) + "R")))
              .skipped() == Lines{"w: numpy.ndarray"});
    const NamedTensors same =
        read(pt(dict(cls + ")\x81}" + text("_parameters") + "}" + text("x") + kGood + "ss" + text("x") + kGood + "sb"),
                kFloats));
    CHECK(same.names() == Lines{"w.x"});
    CHECK(left(same) == Lines{"w: a.B, but for its tensors", "w.x: another tensor of this name"});
  }

  TEST_CASE("long lists of what is no tensor are counted, and those without a tensor are one line") {
    std::string many = "](" + kGood;
    for (int i = 0; i < 1000; ++i) many += "K\1";
    const NamedTensors t = read(pt("}" + text("l") + many + "es" + text("v") + "](" + std::string(5000, 'N') + "es"));
    CHECK(t.names() == std::vector<std::string>{"l.0"});
    REQUIRE(t.skipped().size() == 102);
    CHECK(t.skipped()[0] == "l.1");
    CHECK(t.skipped()[100] == "l: 900 more values that are no tensors");
    CHECK(t.skipped()[101] == "v");

    std::string records = "](";
    for (int i = 0; i < 1500; ++i) records += global("a", "B") + tuple({kGood}) + "R";
    const NamedTensors r = read(pt(records + "e"));
    CHECK(r.size() == 1500);
    REQUIRE(r.skipped().size() == 1001);
    CHECK(r.skipped()[999] == "999: a.B, but for its tensors");
    CHECK(r.skipped()[1000] == "in all: 500 more values that are no tensors");
  }

  TEST_CASE("keys above no tensor may be anything, and names above tensors are texts, numbers and tuples") {
    const std::string odd = "}(" + text("a\0b"s) + "K\1" + text(std::string(5000, 'n')) + "K\2C\1xK\3u";
    CHECK(read(pt("}" + text("vocabulary") + odd + "s")).skipped() == std::vector<std::string>{"vocabulary"});
    const NamedTensors top = read(pt("}(" + text("a\0b"s) + "K\1C\1xK\3" + text("t") + kGood + "u"));
    CHECK(top.skipped() == std::vector<std::string>{"a\\x00b", "(bytes or a device)"});
    const NamedTensors named =
        read(pt("}(" + std::string("\x88") + kGood + "N" + kGood + "G\x3F\xE0\0\0\0\0\0\0"s + kGood + "K\1" +
                text("a") + "\x86" + kGood + ")" + kGood + "J\xFF\xFF\xFF\xFF" + kGood + "u"));
    CHECK(named.names() == std::vector<std::string>{"True", "None", "0.5", "(1, a)", "()", "-1"});
  }

  TEST_CASE("keys with NUL or a half of a surrogate pair name tensors with these written out") {
    const NamedTensors t = read(pt(
        "}(" + text("a\0b"s) + kGood + text("\xED\xA0\x80x\xED\x95\x9C") + kGood + text("\xEA\xB0\x80") + kGood + "u",
        kFloats));
    CHECK(t.names() == std::vector<std::string>{"a\\x00b", "\\xed\\xa0\\x80x\xED\x95\x9C", "\xEA\xB0\x80"});
    CHECK(t.skipped().empty());
    // What is written so already keeps its name; another one of this name is left out.
    const NamedTensors same = read(pt("}(" + text("a\\x00") + kGood + text("a\0"s) + kGood + "u"));
    CHECK(same.names() == std::vector<std::string>{"a\\x00"});
    CHECK(same.skipped() == std::vector<std::string>{"a\\x00: another tensor of this name"});
    CHECK(read(pt("}(" + text("t") + kGood + text("v") + text("\xED\xB0\x80") + "u")).size() == 1);
  }

  TEST_CASE("tensors below a key that is no name are left out, however many") {
    const std::string bytes = "C\1x", deep = "]" + kGood + "a";
    const NamedTensors t = read(pt("}(" + bytes + kGood + text("t") + kGood + global("a", "B") + ")R" + deep + "u"));
    CHECK(t.names() == std::vector<std::string>{"t"});
    const std::string why = ": tensors below a key that is no text, number or tuple of them";
    CHECK(t.skipped() == std::vector<std::string>{"(bytes or a device)" + why, "(a.B)" + why});
    std::string many = "}(";
    for (int i = 0; i < 1500; ++i) many += bytes + kGood;
    CHECK(read(pt(many + "u")).skipped().size() == 1001);
  }

  TEST_CASE("strict reading refuses such keys, and texts that are not UTF-8") {
    const TempDir dir;
    const auto said = [&](const std::string& body) {
      spill(dir / "t.pt", pt("}(" + body + kGood + "u"));
      return outcome([&] { return read_torch(dir / "t.pt", {.strict = true}); });
    };
    CHECK(said(text("a\0b"s)).find("contains NUL") != std::string::npos);
    CHECK(said(text("\xED\xA0\x80")).find("texts must be UTF-8") != std::string::npos);
    CHECK(said("C\1x").find("a key at the top must be a text, a number or a tuple of them; it is bytes") !=
          std::string::npos);
    CHECK(said(text("a")) == "accepted");
  }
}
