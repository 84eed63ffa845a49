/// `coppice inspect`: how packed layers are stored.

#include "coppice/engine/sparse/packed_format.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

TEST_SUITE("program/inspect") {
  const std::filesystem::path kPacked = kData / "packed/model.safetensors";

  TEST_CASE("every packed layer is listed with format, layout, block, element type and bytes") {
    const Json packed = json_of({"inspect", kPacked}).at("packed");
    REQUIRE(packed.size() == 5);
    const Json first{{"module", "0"},
                     {"type", "PackedConv2d"},
                     {"format", "csr"},
                     {"layout", "blocks"},
                     {"block", {1, 1}},
                     {"element", "float32"},
                     {"bytes", packed[0].at("bytes")}};
    CHECK(packed[0] == first);
    std::vector<std::string> formats;
    for (const Json& row : packed) {
      formats.push_back(row.at("format"));
      const PackedFormat format(formats.back());
      CHECK(row.at("layout") == std::string(format.layout().name));
      CHECK(row.at("block") == Json{format.block().rows, format.block().cols});
      CHECK(row.at("element") == to_string(format.element()));
    }
    CHECK(formats == std::vector<std::string>{"csr", "bitmask", "block4", "block8", "block16"});
    // 21 rows and 36 columns in blocks of four: 7 offsets, and 2 + 16 bytes a block.
    CHECK(packed[2].at("module") == "4");
    CHECK(packed[2].at("block") == Json{4, 1});
    CHECK((packed[2].at("bytes").get<int>() - 7 * 4) % 18 == 0);

    const Said said = run({"inspect", kPacked});
    CHECK(said.code == 0);
    CHECK(holds(said.out, "packed layer"));
    for (const char* text : {"bitmask", "16 x 1", "blocks", "float32"}) CHECK(holds(said.out, text));
  }

  TEST_CASE("a model without packed layers has an empty list and no table, a checkpoint no list") {
    CHECK(json_of({"inspect", models().mlp}).at("packed") == Json::array());
    CHECK_FALSE(holds(run({"inspect", models().mlp}).out, "packed layer"));
    CHECK_FALSE(json_of({"inspect", kData / "mlp_digits.pt"}).contains("packed"));
  }
}
