#include "coppice/sparsity/sparsifier/config_file.h"

#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace coppice::sparsity;

namespace {

SparsifierConfig parse(const std::string& text) { return parse_sparsifier_config(text, "groups.json"); }

/// One group with `more` behind its name.
std::string group(const std::string& more) { return "[{\"tensor_fqn\": \"0.weight\"" + more + "}]"; }

}  // namespace

TEST_SUITE("sparsity/sparsifier/config_file") {
  TEST_CASE("a list of groups, with every key") {
    const SparsifierConfig all = parse(R"([
      {"tensor_fqn": "0.weight", "sparsity_level": 0.8, "sparse_block_shape": [1, 4], "zeros_per_block": 2},
      {"sparsity_level": 1, "tensor_fqn": "seq.2.weight", "module_fqn": "seq.2", "tensor_name": "weight",
       "score_dense": true, "zeros_per_block": null}
    ])");
    REQUIRE(all.size() == 2);
    CHECK(all[0] == Arguments{{"tensor_fqn", "0.weight"},
                              {"sparsity_level", 0.8},
                              {"sparse_block_shape", std::vector<std::int64_t>{1, 4}},
                              {"zeros_per_block", std::int64_t{2}}});
    CHECK(all[1] == Arguments{{"tensor_fqn", "seq.2.weight"},
                              {"module_fqn", "seq.2"},
                              {"tensor_name", "weight"},
                              {"sparsity_level", 1.0},
                              {"score_dense", true}});
  }

  TEST_CASE("what is wrong is said with file, group, key and rule") {
    const std::string at = "[sparsifier_config] 'groups.json': ", first = at + "group 0, key ";
    const std::string level = ": must be a number in 0..1; it is ",
                      sides = ": must be a list of two whole numbers of at least 1; it is ";
    const std::vector<std::pair<std::string, std::string>> rows{
        {"[]", at + "the list of groups is empty"},
        {"{}", at + "the text must be a list of groups; it is an object"},
        {"3", at + "the text must be a list of groups; it is the number 3"},
        {"[3]", at + "group 0 must be an object; it is the number 3"},
        {"[[]]", at + "group 0 must be an object; it is a list"},
        {"[{}]", at + "group 0 has no key 'tensor_fqn'"},
        {"[{\"tensor_fqn\": null}]", at + "group 0 has no key 'tensor_fqn'"},
        {"[{\"tensor_fqn\": 3}]", first + "'tensor_fqn': must be a text; it is the number 3"},
        {group(", \"sparsty_level\": 1"),
         at + "group 0 has a key 'sparsty_level'; there are tensor_fqn, module_fqn, tensor_name, sparsity_level, "
              "sparse_block_shape, zeros_per_block, score_dense"},
        {group(", \"sparsity_level\": 1.5"), first + "'sparsity_level'" + level + "the number '1.5'"},
        {group(", \"sparsity_level\": -1"), first + "'sparsity_level'" + level + "the number -1"},
        {group(", \"sparsity_level\": \"half\""), first + "'sparsity_level'" + level + "'half'"},
        {group(", \"sparsity_level\": [0.5]"), first + "'sparsity_level'" + level + "a list"},
        {group(", \"sparse_block_shape\": 4"), first + "'sparse_block_shape'" + sides + "the number 4"},
        {group(", \"sparse_block_shape\": [4]"), first + "'sparse_block_shape'" + sides + "1 numbers"},
        {group(", \"sparse_block_shape\": [1, 0]"), first + "'sparse_block_shape'" + sides + "the number 0"},
        {group(", \"sparse_block_shape\": [1, 2.5]"), first + "'sparse_block_shape'" + sides + "the number '2.5'"},
        {group(", \"sparse_block_shape\": [[1], 4]"), first + "'sparse_block_shape'" + sides + "a list within a list"},
        {group(", \"sparse_block_shape\": {}"), first + "'sparse_block_shape'" + sides + "an object"},
        {group(", \"sparse_block_shape\": [9223372036854775807, 2]"),
         first + "'sparse_block_shape': [sparsifier] a block has too many elements: 9223372036854775807x2"},
        {group(", \"sparse_block_shape\": [2, 2], \"zeros_per_block\": 5"),
         first + "'zeros_per_block': must be in 0..4 (block 2x2); it is 5"},
        {group(", \"zeros_per_block\": -1"),
         first + "'zeros_per_block': must be a whole number of at least 0; it is the number -1"},
        {group(", \"score_dense\": 1"), first + "'score_dense': must be true or false; it is the number 1"},
        {group(", \"tensor_fqn\": \"1.weight\""), at + "group 0 has the key 'tensor_fqn' twice"},
        {"[{\"tensor_fqn\": \"a\"}, {\"tensor_fqn\": \"a\"}]", at + "group 1, key 'tensor_fqn': 'a' stands twice"},
    };
    for (const auto& [text, message] : rows) {
      const std::string& shown = text;  // Clang 14 cannot capture a structured binding
      CAPTURE(shown);
      CHECK_THROWS_WITH_AS((void)parse(text), message.c_str(), FormatError);
    }
    for (const char* text : {"", "[", "[{\"tensor_fqn\": }]", "[{}] x", "\xEF\xBB\xBF[]"}) {
      CAPTURE(text);
      CHECK_THROWS_AS((void)parse(text), FormatError);
    }
  }

  TEST_CASE("a dot in front of a name is none of it") {
    CHECK(parse_sparsifier_config(R"([{"tensor_fqn": ".0.weight"}])", "f")[0].text("tensor_fqn") == "0.weight");
    CHECK_THROWS_AS((void)parse_sparsifier_config(R"([{"tensor_fqn": ".0.weight"}, {"tensor_fqn": "0.weight"}])", "f"),
                    FormatError);
  }

  TEST_CASE("from a file") {
    const TempDir dir;
    spill(dir / "g.json", group(""));
    CHECK(read_sparsifier_config(dir / "g.json").size() == 1);
    CHECK_THROWS_AS((void)read_sparsifier_config(dir / "none.json"), IoError);
    CHECK_THROWS_AS((void)read_sparsifier_config(dir / "g.json", {.file_bytes = 5}), LimitError);
    spill(dir / "bad.json", "[1]");
    CHECK_THROWS_WITH_AS((void)read_sparsifier_config(dir / "bad.json"), doctest::Contains("bad.json"), FormatError);
  }
}
