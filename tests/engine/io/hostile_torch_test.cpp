/// Hostile PyTorch files: each must be refused with its category and rule, and none may run code.

#include "coppice/engine/io/torch_file.h"
#include "engine/io/io_support.h"
#include "hostile/pickle.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::test::pickle;
using namespace std::string_literals;

TEST_SUITE("engine/io/hostile_torch") {
  const auto read = [](const std::filesystem::path& path) { return read_torch(path); };

  TEST_CASE("what the tables vary is read when left alone") {
    const TempDir dir;
    spill(dir / "t.pt", pt(dict(kGood)));
    CHECK(read_torch(dir / "t.pt").at("w").shape() == Shape{4});
  }

  TEST_CASE("no pickle reaches code: what would have is left out by name, and refused when strict") {
    check_refused(torch_code(), "hostile.pt", read);
    check_refused(torch_code_when_strict(), "hostile.pt",
                  [](const std::filesystem::path& path) { return read_torch(path, {.strict = true}); });
    check_refused(torch_calls(), "hostile.pt", read);
    CHECK(!std::filesystem::exists("/tmp/owned"));
  }
  TEST_CASE("the pickle machine refuses what no writer makes") { check_refused(torch_machine(), "hostile.pt", read); }
  TEST_CASE("storages and tensors must fit their bytes") { check_refused(torch_tensors(), "hostile.pt", read); }
  TEST_CASE("containers must be what torch.save writes") { check_refused(torch_containers(), "hostile.pt", read); }

  TEST_CASE("H48: values that double at every level end at a limit") {
    const TempDir dir;
    std::string laughs = kGood;
    for (int i = 0; i < 40; ++i) laughs += "q\0h\0\x86"s;
    spill(dir / "t.pt", pt(laughs));
    CHECK(outcome([&] { return read_torch(dir / "t.pt"); }).find("paths lead to them") != std::string::npos);
    CHECK(outcome([&] {
            return read_torch(dir / "t.pt", {.limits = {.objects = 1000}});
          }).find("raise Limits::objects") != std::string::npos);
    std::string nothing = ")";
    for (int i = 0; i < 60; ++i) nothing += "q\0h\0\x86"s;
    spill(dir / "t.pt", pt(nothing));
    CHECK(read_torch(dir / "t.pt").empty());  // nothing below any of the 2^60 paths is a tensor: seen once
  }

  TEST_CASE("objects take memory in proportion to the file") {
    const TempDir dir;
    const auto said = [&](const std::string& body, std::uint64_t objects) {
      spill(dir / "t.pt", pt(body));
      return outcome([&] { return read_torch(dir / "t.pt", {.limits = {.objects = objects}}); });
    };
    const std::string rebuild = global("torch._utils", "_rebuild_tensor_v2") + "q\1";
    const std::string type = global("a", "B") + "q\1", numbers = "(" + std::string(1000, 'N') + "tq\2";
    std::string calls = "(" + type + numbers, states = "(" + type + "}(";
    for (int i = 0; i < 500; ++i) states += "K\1K\2";
    states += "uq\2";
    for (int i = 0; i < 100; ++i) calls += "h\1h\2R", states += "h\1)\x81h\2b";
    CHECK(said(calls + "t", 100'000).find("raise Limits::objects") != std::string::npos);
    CHECK(said(calls + "t", 110'000) == "accepted");
    CHECK(said(states + "t", 50'000).find("raise Limits::objects") != std::string::npos);
    CHECK(said(states + "t", 60'000) == "accepted");
    std::string pairs = "(" + type + "](", metadata = "(" + rebuild + "}(";
    for (int i = 0; i < 1000; ++i) pairs += text("a") + "N\x86", metadata += "K\1K\2";
    pairs += "Ne\x85q\2", metadata += "uq\2";
    metadata += "0(" + storage(4) + "K\0"s + tuple({num(4)}) + tuple({num(1)}) + kFalse + kHooks + "h\2tq\2";
    for (int i = 0; i < 100; ++i) pairs += "h\1h\2R", metadata += "h\1h\2R";
    CHECK(said(pairs + "t", 100'000).find("raise Limits::objects") != std::string::npos);
    CHECK(said(pairs + "t", 110'000) == "accepted");
    CHECK(said(metadata + "t", 100'000).find("raise Limits::objects") != std::string::npos);
    CHECK(said(metadata + "t", 110'000) == "accepted");
  }

  TEST_CASE("objects may hold each other, as deep as they like where there is no tensor") {
    const TempDir dir;
    const auto read_of = [&](const std::string& body) {
      spill(dir / "t.pt", pt(body));
      return read_torch(dir / "t.pt");
    };
    const std::string object = global("a", "B") + ")\x81";
    std::string deep = global("a", "B") + "q\1" + ")R";
    for (int i = 0; i < 100'000; ++i) deep += "q\2" + "0h\1h\2\x85R"s;
    CHECK(read_of("}" + text("w") + deep + "s").skipped() == std::vector<std::string>{"w: a.B"});
    std::string bearing = global("a", "B") + "q\1" + tuple({kGood}) + "R";
    for (int i = 0; i < 100; ++i) bearing += "q\2" + "0h\1h\2\x85R"s;
    CHECK(outcome([&] { return read_of("}" + text("w") + bearing + "s"); }).find("raise Limits::nesting") !=
          std::string::npos);
    const std::string itself = object + "q\3}" + text("me") + "h\3s" + text("t") + kGood + "sb";
    CHECK(read_of("}" + text("w") + itself + "s").names() == std::vector<std::string>{"w.t"});
  }

  TEST_CASE("objects that all hold each other end at sixteen names for each") {
    const TempDir dir;
    std::string body = "(";
    constexpr int kCount = 12;
    for (int i = 0; i < kCount; ++i) body += global("a", "B") + ")\x81q" + le(static_cast<unsigned>(i), 1);
    std::string linked = "t0";
    for (int i = 0; i < kCount; ++i) {
      linked += "h" + le(static_cast<unsigned>(i), 1) + "}(" + text("t") + kGood;
      for (int j = 0; j < kCount; ++j)
        if (j != i) linked += text("o" + std::to_string(j)) + "h" + le(static_cast<unsigned>(j), 1);
      linked += "ub0";
    }
    spill(dir / "t.pt", pt(body + linked + "}" + text("x") + "h" + std::string(1, '\0') + "s"));
    const NamedTensors read = read_torch(dir / "t.pt");
    CHECK(read.size() >= kCount);
    CHECK(read.size() <= 16 * kCount);
  }

  TEST_CASE("the number of values and memo entries is limited") {
    const TempDir dir;
    spill(dir / "t.pt", pt("(" + std::string(20'000, 'N') + "t"));
    CHECK(outcome([&] { return read_torch(dir / "t.pt", {.limits = {.objects = 10'000}}); }).starts_with("LimitError"));
    CHECK(outcome([&] { return read_torch(dir / "t.pt"); }) == "accepted");
    CHECK(outcome([&] {
            return read_torch(dir / "t.pt", {.limits = {.header_bytes = 10'000}});
          }).starts_with("LimitError"));
  }

  TEST_CASE("MARKs and the axes of tensors count among the values") {
    const TempDir dir;
    const auto said = [&](std::uint64_t objects) {
      return outcome([&] { return read_torch(dir / "t.pt", {.limits = {.objects = objects}}); });
    };
    spill(dir / "t.pt", pt(std::string(1000, '(') + "N"));
    CHECK(said(999).find("values in the pickle must be at most 999; got 1000 (raise Limits::objects)") !=
          std::string::npos);
    CHECK(said(2000).starts_with("FormatError"));
    const auto axes = tuple(std::vector<std::string>(16, num(1)));
    std::string body = "(" + global("torch._utils", "_rebuild_tensor_v2") + "q\1" +
                       tuple({storage(4), num(0), axes, axes, kFalse, kHooks}) + "q\2";
    for (int i = 0; i < 1000; ++i) body += "h\1h\2R";  // 3 values and 1 + 2 * 16 for each tensor
    spill(dir / "t.pt", pt(body + "t"));
    CHECK(said(36'000).find("raise Limits::objects") != std::string::npos);
    CHECK(said(36'100) == "accepted");
  }

  TEST_CASE("each pickle of a legacy file has at most header_bytes, however long the file is") {
    const TempDir dir;
    const std::string legacy = slurp(kData / "torch/legacy_1_13.pt");
    const std::string front = legacy.substr(0, legacy.find("\x80\2ccollections"));  // magic number, protocol, system
    const auto said = [&](const std::string& bytes, std::uint64_t most = 10'000) {
      spill(dir / "t.pt", bytes);
      return outcome([&] { return read_torch(dir / "t.pt", {.limits = {.header_bytes = most}}); });
    };
    const auto object = [](std::size_t size) {  // without a tensor
      return "\x80\2}" + text("n") + text(std::string(size - 16, 'x')) + "s.";
    };
    const std::string none = "\x80\2].";  // no key of a storage
    CHECK(said(front + object(10'000) + none) == "accepted");
    const std::string refused = "bytes of a pickle must be at most 10000; got 10001 (raise Limits::header_bytes)";
    for (const std::string& bytes : {front + object(10'001) + none, front + "\x80\2" + std::string(20'000, '('),
                                     front + object(100) + "\x80\2(" + std::string(20'000, 'N') + "t."}) {
      const std::string words = said(bytes);
      CAPTURE(words);
      CHECK(words.starts_with("LimitError"));
      CHECK(words.find(refused) != std::string::npos);
    }
    CHECK(said(front + object(20'000) + none).find("got 19998 (raise Limits::header_bytes)") != std::string::npos);
    CHECK(said(legacy, 10).find("raise Limits::header_bytes") != std::string::npos);  // the magic number has 15 bytes
    const std::string cut = said(front + "\x80\2X" + le(20'000, 4) + "short");
    CHECK(cut.starts_with("FormatError"));
    CHECK(cut.find("text needs 20000 bytes; 5 are left") != std::string::npos);
  }

  TEST_CASE("expanded and overlapping views are read as copies") {
    const TempDir dir;
    const std::string data = le(0x3F800000, 4) + le(0x40000000, 4) + le(0x40400000, 4) + le(0x40800000, 4);
    spill(dir / "t.pt", pt(dict(tensor(num(1), tuple({num(2), num(2)}), tuple({num(1), num(1)}))), data));
    CHECK(read_torch(dir / "t.pt").at("w") == Tensor::of({{2, 3}, {3, 4}}));
    spill(dir / "t.pt", pt(dict(tensor(num(3), tuple({num(2), num(1)}), tuple({num(0), num(77)}))), data));
    CHECK(read_torch(dir / "t.pt").at("w").to_vector<float>() == std::vector<float>{4, 4});
  }

  TEST_CASE("every byte of a pickle may be wrong: refused, or read without harm") {
    const TempDir dir;
    const std::string good = "\x80\2" + dict(kGood) + ".";
    std::size_t refused = 0;
    for (std::size_t i = 0; i < good.size(); ++i)
      for (const int flip : {1, 16, 128}) {
        std::string bytes = good;
        bytes[i] = static_cast<char>(bytes[i] ^ flip);
        spill(dir / "h.pt", raw_pt(bytes));
        refused += outcome([&] { return read_torch(dir / "h.pt").nbytes(); }) != "accepted";
      }
    CHECK(refused > 2 * good.size());
  }
}
