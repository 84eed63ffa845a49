/// Arrays of types that tensors do not have: left out of an archive by name, refused alone.

#include "coppice/engine/io/load.h"
#include "coppice/engine/io/npy.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_literals;

namespace {

std::string npy(const std::string& descr, const std::string& shape, const std::string& data) {
  const std::string header = "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }\n";
  return "\x93NUMPY\1\0"s + le(header.size(), 2) + header + data;
}

const std::string kGood = npy("'<f4'", "(1,)", "\0\0\x80\x3f"s);

}  // namespace

TEST_SUITE("engine/io/npy_foreign") {
  TEST_CASE("the arrays of an archive that are no numbers are left out by name, the others are read") {
    const TempDir dir;
    spill(dir / "t.npz", make_zip({{"names.npy", npy("'<U5'", "(3,)", std::string(60, 'u'))},
                                   {"w.npy", kGood},
                                   {"any.npy", npy("'|O'", "()", "a pickle, which nobody reads")},
                                   {"when.npy", npy("'<M8[ns]'", "()", "12345678")},
                                   {"rows.npy", npy("[('x', '<f4'), ('it]s', '<i4', (2, 3))]", "(2,)", "…")},
                                   {"sub.npy", npy("('<f4', (2,))", "(1,)", "12345678")},
                                   {"ids.npy", npy("'<u4'", "(1, 1)", "1234")},
                                   {"c.npy", npy("'<c8'", "(0,)", "")},
                                   {"read.me", "text"}}));
    const NamedTensors read = load_tensors(dir / "t.npz");
    CHECK(read.names() == std::vector<std::string>{"w"});
    CHECK(read.at("w").item() == 1);
    CHECK(read.skipped() ==
          std::vector<std::string>{
              "names: an array of type '<U5' and shape (3,)", "any: an array of type '|O' and shape ()",
              "when: an array of type '<M8[ns]' and shape ()",
              "rows: an array of type '[('x', '<f4'), ('it]s', '<i4', (2, 3))]' and shape (2,)",
              "sub: an array of type '('<f4', (2,))' and shape (1,)", "ids: an array of type '<u4' and shape (1, 1)",
              "c: an array of type '<c8' and shape (0,)", "read.me"});
  }

  TEST_CASE("strict reading refuses each, and so does reading it alone") {
    const TempDir dir;
    for (const auto& [descr, category] : {std::pair("'<U5'", "FormatError"),
                                          {"'|O'", "FormatError"},
                                          {"[('x', '<f4')]", "FormatError"},
                                          {"'<u4'", "NotSupported"}}) {
      CAPTURE(descr);
      spill(dir / "t.npy", npy(descr, "(0,)", ""));
      spill(dir / "t.npz", make_zip({{"w.npy", kGood}, {"x.npy", npy(descr, "(0,)", "")}}));
      CHECK(outcome([&] { return read_npy(dir / "t.npy"); }).starts_with(category));
      CHECK(outcome([&] { return read_npz(dir / "t.npz", {.strict = true}); }).starts_with(category));
      CHECK(read_npz(dir / "t.npz").size() == 1);
    }
  }

  TEST_CASE("a damaged header is refused, whatever type it tells of") {
    const TempDir dir;
    for (const char* descr : {"[('x', '<f4')", "[('x", "[[(", "()", "{}"}) {
      CAPTURE(descr);
      spill(dir / "t.npz", make_zip({{"x.npy", npy(descr, "(1,)", "1234")}}));
      const std::string said = outcome([&] { return read_npz(dir / "t.npz"); });
      CAPTURE(said);
      CHECK((said.starts_with("FormatError") || descr == "()"s));
    }
  }

  TEST_CASE("the nameless type of two bytes is bfloat16 where that is said") {
    const TempDir dir;
    for (const char* descr : {"'<V2'", "'|V2'"}) {
      CAPTURE(descr);
      spill(dir / "t.npy", npy(descr, "(2,)", "\x80\x3f\0\xc0"s));  // 1 and -2
      const std::string said = outcome([&] { return read_npy(dir / "t.npy"); });
      CHECK(said.starts_with("FormatError"));
      CHECK(said.find("--v2-is-bf16") != said.npos);
      const Tensor read = read_npy(dir / "t.npy", {.v2_is_bf16 = true});
      CHECK(read.dtype() == Dtype::bf16);
      CHECK(read.to_vector<double>() == std::vector<double>{1, -2});
      spill(dir / "t.npz", make_zip({{"x.npy", slurp(dir / "t.npy")}}));
      CHECK(read_npz(dir / "t.npz").skipped().at(0).find("--v2-is-bf16") != std::string::npos);
      CHECK(read_npz(dir / "t.npz", {.v2_is_bf16 = true}).at("x") == read);
    }
    spill(dir / "t.npy", npy("'>V2'", "(1,)", "\x3f\x80"));
    CHECK(read_npy(dir / "t.npy", {.v2_is_bf16 = true}).item() == 1);
  }

  TEST_CASE("a compressed array that is left out is not inflated: its header is, whatever follows") {
    const TempDir dir;
    const auto member = [](const std::string& name, const std::string& inflated, const std::string& stored,
                           std::uint64_t size) {
      Member m{name, stored, 8, 0, size};
      m.unpacked = inflated;
      return m;
    };
    const auto as_stored_blocks = [](const std::string& data) {
      return "\1" + le(data.size(), 2) + le(~data.size(), 2) + data;
    };
    // 4 GB of text, more than any limit gives to an array that is read; what is deflated ends long before.
    const std::string text = npy("'<U1000'", "(1000000,)", std::string(20'000, 'u'));
    for (const std::string& stored : {deflated(text), as_stored_blocks(text)}) {
      spill(dir / "t.npz", make_zip({member("names.npy", text, stored, 4'000'000'000), {"w.npy", kGood}}));
      const NamedTensors read = read_npz(dir / "t.npz");
      CHECK(read.names() == std::vector<std::string>{"w"});
      CHECK(read.skipped() == std::vector<std::string>{"names: an array of type '<U1000' and shape (1000000,)"});
    }
    const std::string numbers = npy("'<f4'", "(5000,)", std::string(20'000, '\0'));
    spill(dir / "t.npz", make_zip({member("w.npy", numbers, deflated(numbers), numbers.size())}));
    CHECK(read_npz(dir / "t.npz").at("w").numel() == 5000);
    spill(dir / "t.npz", make_zip({member("w.npy", numbers, deflated(numbers), 4'000'000)}));
    CHECK(outcome([&] { return read_npz(dir / "t.npz"); }).starts_with("FormatError"));
  }
}
