#include "coppice/engine/io/sharded.h"

#include <sys/stat.h>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "engine/io/every_kind.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_literals;

namespace {

constexpr const char* kIndex = "model.safetensors.index.json";

/// {"weight_map": {…}} of pairs.
std::string index_of(const std::vector<std::pair<std::string, std::string>>& map) {
  std::string out = R"({"metadata": {"total_size": 12}, "weight_map": {)";
  for (const auto& [name, file] : map) out += cat(out.back() == '{' ? "" : ", ", "\"", name, "\": \"", file, "\"");
  return out + "}}";
}

/// A folder with two shards, "a" and "c" in the first, "b" in the second, and their index.
struct TwoShards {
  TempDir dir;
  NamedTensors expected{{"a", Tensor::of({1, 2})}, {"b", Tensor::of({3})}, {"c", Tensor::of({4, 5, 6})}};
  TwoShards() {
    NamedTensors one{{"c", expected.at("c")}, {"a", expected.at("a")}}, two{{"b", expected.at("b")}};
    one.metadata() = {{"format", "pt"}, {"part", "1"}};
    two.metadata() = {{"format", "pt"}, {"part", "2"}};
    write_safetensors(dir / "model-00001-of-00002.safetensors", one);
    write_safetensors(dir / "model-00002-of-00002.safetensors", two);
    index(right());
  }
  static std::vector<std::pair<std::string, std::string>> right() {
    return {{"a", "model-00001-of-00002.safetensors"},
            {"b", "model-00002-of-00002.safetensors"},
            {"c", "model-00001-of-00002.safetensors"}};
  }
  void index(const std::vector<std::pair<std::string, std::string>>& map) const { spill(dir / kIndex, index_of(map)); }
  [[nodiscard]] std::string said(const ReadOptions& options = {}) const {
    return outcome([&] { return load_tensors(dir / kIndex, options); });
  }
};

/// `said` is of this category and holds all parts.
void check_said(const std::string& said, const std::string& category, const std::vector<std::string>& parts) {
  CAPTURE(said);
  CHECK(said.starts_with(category));
  CHECK(said.find(kIndex) != said.npos);
  for (const std::string& part : parts) {
    CAPTURE(part);
    CHECK(said.find(part) != said.npos);
  }
}

}  // namespace

TEST_SUITE("engine/io/sharded") {
  TEST_CASE("the tensors of all shards stand in the order of the index") {
    const TwoShards files;
    for (const bool map : {true, false})
      check_same_bits(read_sharded(files.dir / kIndex, {.map = map}), files.expected);
    check_same_bits(load_tensors(files.dir / kIndex), files.expected);
    std::filesystem::rename(files.dir / kIndex, files.dir / "other.name");  // the contents decide
    check_same_bits(load_tensors(files.dir / "other.name"), files.expected);
  }

  TEST_CASE("every element type, empty and 0-d tensors, one shard for each") {
    const TempDir dir;
    std::vector<std::pair<std::string, std::string>> map;
    for (const auto& [name, tensor] : every_kind()) {
      map.emplace_back(name, cat("s", map.size(), ".safetensors"));
      write_safetensors(dir / map.back().second, {{name, tensor}});
    }
    spill(dir / kIndex, index_of(map));
    check_same_bits(load_tensors(dir / kIndex), every_kind());
  }

  TEST_CASE("shards of PyTorch stand under pytorch_model.bin.index.json") {
    const TempDir dir;
    const NamedTensors expected{{"a", Tensor::of({1, 2})}, {"b", Tensor::of({3})}, {"c", Tensor::of({4})}};
    save_tensors(dir / "pytorch_model-00001-of-00002.bin", {{"c", expected.at("c")}, {"a", expected.at("a")}});
    save_tensors(dir / "pytorch_model-00002-of-00002.bin", {{"b", expected.at("b")}, {"more", Tensor::of(1)}});
    spill(dir / "pytorch_model.bin.index.json", index_of({{"a", "pytorch_model-00001-of-00002.bin"},
                                                          {"b", "pytorch_model-00002-of-00002.bin"},
                                                          {"c", "pytorch_model-00001-of-00002.bin"}}));
    const NamedTensors read = load_tensors(dir / "pytorch_model.bin.index.json");
    check_same_bits(read, expected);
    CHECK(read.skipped() == std::vector<std::string>{"pytorch_model-00002-of-00002.bin: more"});
    spill(dir / "pytorch_model-00002-of-00002.bin", "damaged");
    const std::string said = outcome([&] { return load_tensors(dir / "pytorch_model.bin.index.json"); });
    CHECK(said.starts_with("FormatError"));
    CHECK(said.find("[read_torch]") != said.npos);
    CHECK(said.find("puts 'b' there") != said.npos);
  }

  TEST_CASE("a tensor that the reader of its shard leaves out is left out and named") {
    const TempDir dir;
    spill(dir / "s.safetensors", st(R"({"u":{"dtype":"U16","shape":[1],"data_offsets":[0,2]},)"
                                    R"("y":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                                    "ab\7"));
    spill(dir / kIndex, index_of({{"u", "s.safetensors"}, {"y", "s.safetensors"}}));
    const NamedTensors read = load_tensors(dir / kIndex);
    CHECK(read.names() == std::vector<std::string>{"y"});
    CHECK(read.skipped() == std::vector<std::string>{"s.safetensors: u: U16 of shape (1,)"});
    CHECK(outcome([&] { return load_tensors(dir / kIndex, {.strict = true}); }).starts_with("NotSupported"));
    spill(dir / kIndex, index_of({{"v", "s.safetensors"}, {"y", "s.safetensors"}}));
    CHECK(outcome([&] { return load_tensors(dir / kIndex); }).find("'v' must stand in") != std::string::npos);
  }

  TEST_CASE("notes of an index tie tensors, and nothing else that it says is kept") {
    const TwoShards files;
    const std::string map = index_of(TwoShards::right());
    const std::string rest = map.substr(map.find("\"weight_map\""));
    spill(files.dir / kIndex,
          R"({"metadata": {"total_size": 12, "d": "a", "b": "a", "e": "z", "more": {"x": "a"}}, )" + rest);
    const NamedTensors read = load_tensors(files.dir / kIndex);
    CHECK(read.names() == std::vector<std::string>{"a", "b", "c", "d"});
    CHECK(read.at("d").shares_storage(read.at("a")));
    CHECK(read.at("b") == files.expected.at("b"));
    CHECK(read.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  }

  TEST_CASE("metadata on which all shards agree is kept") {
    const TwoShards files;
    CHECK(read_sharded(files.dir / kIndex).metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  }

  TEST_CASE("a total_size that lies, is missing, or is no number, changes nothing") {
    const TwoShards files;
    const std::string map = index_of(TwoShards::right());
    const std::string rest = map.substr(map.find("\"weight_map\""));
    for (const char* head : {"{", R"({"metadata": {}, )", R"({"metadata": {"total_size": 0}, )",
                             R"({"metadata": {"total_size": 18446744073709551615}, )",
                             R"({"metadata": {"total_size": 1.5e300, "more": [1, {"x": null}]}, )",
                             R"({"metadata": "none", "weight_map_": {"a": 1}, )"}) {
      CAPTURE(head);
      spill(files.dir / kIndex, head + rest);
      check_same_bits(load_tensors(files.dir / kIndex), files.expected);
    }
  }

  TEST_CASE("a name of a shard that could leave the folder is refused, whatever is there") {
    const TwoShards files;
    std::filesystem::create_directory(files.dir / "sub");
    std::filesystem::copy_file(files.dir / "model-00002-of-00002.safetensors", files.dir / "sub/x.safetensors");
    const std::string absolute = (files.dir / "sub/x.safetensors").string();
    for (const std::string& name :
         {"../../etc/passwd"s, "../x.safetensors"s, "sub/x.safetensors"s, "./sub/x.safetensors"s, absolute,
          "sub\\\\x.safetensors"s, "x\\u0000.safetensors"s, "/x.safetensors"s}) {
      CAPTURE(name);
      files.index({{"b", name}});
      check_said(files.said(), "FormatError", {"weight_map: 'b'", "plain file name"});
    }
    for (const char* name : {"", ".", "..", "passwd", kIndex, "model.pt"}) {
      CAPTURE(name);
      files.index({{"b", name}});
      check_said(files.said(), "FormatError",
                 {"weight_map: 'b'", "must end in .safetensors or .bin; it is '"s + name + "'"});
    }
  }

  TEST_CASE("a shard that is a symbolic link, a folder or a pipe is refused") {
    const TwoShards files;
    const TempDir elsewhere;
    std::filesystem::rename(files.dir / "model-00002-of-00002.safetensors", elsewhere / "s.safetensors");
    const auto shard = files.dir / "model-00002-of-00002.safetensors";
    const std::vector<std::string> names{"model-00002-of-00002.safetensors", "puts 'b' there"};
    SUBCASE("a link out of the folder") {
      std::filesystem::create_symlink(elsewhere / "s.safetensors", shard);
      check_said(files.said(), "FormatError", {names[0], names[1], "symbolic link"});
    }
    SUBCASE("a link to its own folder") {
      std::filesystem::create_symlink("model-00001-of-00002.safetensors", shard);
      check_said(files.said(), "FormatError", {names[0], names[1], "symbolic link"});
    }
    SUBCASE("a folder") {
      std::filesystem::create_directory(shard);
      check_said(files.said(), "FormatError", {names[0], names[1], "a directory"});
    }
    SUBCASE("a pipe, which is not waited for") {
      REQUIRE(::mkfifo(shard.c_str(), 0600) == 0);
      check_said(files.said(), "FormatError", {names[0], names[1], "a pipe"});
    }
    SUBCASE("nothing at all") { check_said(files.said(), "IoError", {names[0], names[1], "No such file"}); }
    SUBCASE("the index under the name of a shard") {
      std::filesystem::copy_file(files.dir / kIndex, shard);
      check_said(files.said(), "FormatError", {names[0], names[1]});
    }
  }

  TEST_CASE("an index beside its shards works through a link to its folder, and from inside it") {
    const TwoShards files;
    const TempDir elsewhere;
    std::filesystem::create_directory_symlink(files.dir.path(), elsewhere / "link");
    check_same_bits(load_tensors(elsewhere / "link" / kIndex), files.expected);
  }

  TEST_CASE("tensor and shard must fit both ways") {
    const TwoShards files;
    const std::string one = "model-00001-of-00002.safetensors", two = "model-00002-of-00002.safetensors";
    SUBCASE("listed, but not in its shard") {
      files.index({{"a", one}, {"b", two}, {"c", one}, {"d", two}});
      check_said(files.said(), "FormatError", {"weight_map: 'd' must stand in '" + two + "'"});
    }
    SUBCASE("listed for another shard than the one that has it") {
      files.index({{"a", one}, {"b", two}, {"c", two}});
      check_said(files.said(), "FormatError", {"weight_map: 'c'", "'" + two + "' alone", "'" + one + "' too"});
    }
    SUBCASE("in two shards") {
      write_safetensors(files.dir / two, {{"b", Tensor::of({3})}, {"a", Tensor::of({1, 2})}});
      check_said(files.said(), "FormatError", {"weight_map: 'a'", "'" + one + "' alone", "'" + two + "' too"});
    }
    SUBCASE("in a shard, but not listed: left out and named") {
      files.index({{"a", one}, {"b", two}});
      const NamedTensors t = load_tensors(files.dir / kIndex);
      CHECK(t.names() == std::vector<std::string>{"a", "b"});
      CHECK(t.skipped() == std::vector<std::string>{one + ": c"});
    }
    SUBCASE("a shard that is damaged") {
      spill(files.dir / two, slurp(files.dir / two) + "x");
      check_said(files.said(), "FormatError", {two, "puts 'b' there", "left over"});
    }
  }

  TEST_CASE("an index of another structure is refused with the key and what it is") {
    const TwoShards files;
    const std::vector<std::pair<std::string, std::string>> cases{
        {R"({"weight_map": {"a": {"file": "x"}}})", "weight_map: 'a' must be the name of a file; it is an object"},
        {R"({"weight_map": {"a": ["x"]}})", "weight_map: 'a' must be the name of a file; it is an array"},
        {R"({"weight_map": {"a": null}})", "weight_map: 'a' must be the name of a file; it is null"},
        {R"({"weight_map": {"a": 3}})", "weight_map: 'a' must be the name of a file; it is the number 3"},
        {R"({"weight_map": {"a": true}})", "it is a boolean"},
        {R"({"weight_map": ["a"]})", "\"weight_map\" must be an object; it is an array"},
        {R"({"weight_map": "a"})", "\"weight_map\" must be an object; it is 'a'"},
        {R"({"weight_map": {"a": "x.safetensors", "a": "x.safetensors"}})", "weight_map: name 'a' stands twice"},
        {R"({"weight_map": {}, "weight_map": {}})", "\"weight_map\" stands twice"},
        {R"({"weight_map": {"a\u0000": "x.safetensors"}})", "contains NUL"},
        {R"({"metadata": {"weight_map": {}}})", "has no \"weight_map\""},
        {"{}", "has no \"weight_map\""},
        {R"({"weight_map": {"a": "x.safetensors"})", "must be JSON"},
        {R"({"weight_map": {}} {})", "must be JSON"},
        {"{\"weight_map\": {\"\xFF\": \"x.safetensors\"}}", "must be JSON"},
        {"{\"weight_map\": {}}\0"s, "contains NUL"},
    };
    for (const auto& [text, fragment] : cases) {
      const auto& shown = text;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      spill(files.dir / kIndex, text);
      check_said(files.said(), "FormatError", {fragment});
    }
    spill(files.dir / kIndex, "[1]");  // known by its extension alone
    check_said(files.said(), "FormatError", {"must be an object; it is an array"});
    spill(files.dir / kIndex, R"({"weight_map": {}})");
    CHECK(load_tensors(files.dir / kIndex).empty());
  }

  TEST_CASE("what an index may ask for is limited, and refused before a shard is opened") {
    const TwoShards files;
    check_said(files.said({.limits = {.tensors = 2}}), "LimitError", {"Limits::tensors"});
    check_said(files.said({.limits = {.shards = 1}}), "LimitError", {"Limits::shards"});
    files.index({{"b", "model-00002-of-00002.safetensors"}, {"a", "model-00001-of-00002.safetensors"}});
    check_said(files.said({.limits = {.tensors = 2}}), "LimitError",  // three in all, one of them unlisted
               {"tensors of all shards so far must be at most 2; got 3", "Limits::tensors"});
    CHECK(files.said({.limits = {.tensors = 3}}) == "accepted");
    files.index(TwoShards::right());
    check_said(files.said({.limits = {.file_bytes = 250}}), "LimitError", {"file_bytes"});
    check_said(files.said({.limits = {.header_bytes = 20}}), "LimitError", {"Limits::header_bytes"});
    check_said(files.said({.limits = {.name_bytes = 10}}), "LimitError", {"Limits::name_bytes"});
    check_said(files.said({.limits = {.nesting = 1}}), "LimitError", {"Limits::nesting"});
    std::vector<std::pair<std::string, std::string>> many;
    for (int i = 0; i < 5000; ++i) many.emplace_back(cat("t", i), cat("s", i, ".safetensors"));
    files.index(many);
    check_said(files.said(), "LimitError", {"Limits::shards", "at most 4096"});
    std::string deep = R"({"metadata": )";
    for (int i = 0; i < 100'000; ++i) deep += '[';
    spill(files.dir / kIndex, deep);
    check_said(files.said(), "LimitError", {"Limits::nesting"});
  }
}
