/// Every --limit option refuses a file that exceeds it, with exit code 4 and the name of the limit.

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

struct Row {
  std::string option;
  std::string field;    ///< of Limits
  std::string refused;  ///< value that is too low for the file
  std::string allowed;  ///< value that is just enough
  std::string file;
};

}  // namespace

TEST_SUITE("sparsity/cli/limits") {
  TEST_CASE("each option refuses with exit code 4 and its name, and allows the exact amount") {
    const TempDir dir;
    const std::string cube = (dir / "cube.safetensors").string(), packed_npz = (dir / "packed.npz").string();
    const std::string index = (dir / "model.safetensors.index.json").string();
    save_tensors(cube, {{"long_name", ones({2, 2, 2})}, {"b", ones({1})}});
    spill(packed_npz, make_zip({packed("x.npy", zeros(std::size_t{17} << 20))}));
    write_safetensors(dir / "s1.safetensors", {{"a", ones({1})}});
    write_safetensors(dir / "s2.safetensors", {{"b", ones({1})}});
    spill(index, R"({"metadata": {"x": [[1]]}, "weight_map": {"a": "s1.safetensors", "b": "s2.safetensors"}})");
    const std::string checkpoint = (kData / "torch/checkpoint_2_13.pt").string();
    const auto size = [](const std::string& path) { return std::to_string(std::filesystem::file_size(path)); };
    const std::vector<Row> rows{{"--limit-file-bytes", "file_bytes", "100", size(cube), cube},
                                {"--limit-header-bytes", "header_bytes", "50", "4096", cube},
                                {"--limit-tensors", "tensors", "1", "2", cube},
                                {"--limit-rank", "rank", "2", "3", cube},
                                {"--limit-name-bytes", "name_bytes", "8", "12", cube},  // "data_offsets" is a key too
                                {"--limit-nesting", "nesting", "1", "64", checkpoint},
                                {"--limit-nesting", "nesting", "3", "4", index},
                                {"--limit-objects", "objects", "20", "4000", checkpoint},
                                {"--limit-shards", "shards", "1", "2", index},
                                {"--limit-extra-bytes", "extra_bytes", "1000000", "18000000", packed_npz},
                                {"--limit-inflate-ratio", "inflate_ratio", "200", "2000", packed_npz}};
    for (const Row& row : rows)
      for (const char* command : {"inspect", "verify"}) {
        CAPTURE(command);
        CAPTURE(row.option);
        Words words{command, row.file, row.option, row.refused};
        if (row.field != "inflate_ratio") words.insert(words.end(), {"--limit-inflate-ratio", "2000"});
        const Said said = run(words);
        CAPTURE(said.err);
        CHECK(said.code == 4);
        CHECK(holds(said.err, row.field));
        CHECK(said.out.empty());
        words[3] = row.allowed;
        const Said fine = run(words);
        CAPTURE(fine.err);
        CHECK(fine.code == 0);
      }
  }

  TEST_CASE("commands that write refuse too, and write nothing") {
    const TempDir dir;
    const std::string mlp = (kData / "mlp_digits.pt").string(), out = (dir / "out.safetensors").string();
    for (const Words& words : {Words{"convert", mlp, "-o", out}, Words{"prune", mlp, "-o", out, "--amount", "0.5"},
                               Words{"import", mlp, "--arch", (kData / "mlp_digits.arch.json").string(), "-o", out}}) {
      CAPTURE(words[0]);
      Words limited = words;
      limited.insert(limited.end(), {"--limit-rank", "1"});
      CHECK(run(limited).code == 4);
      CHECK(dir.size() == 0);
    }
  }

  TEST_CASE("every command takes every limit") {
    for (const char* command :
         {"inspect", "import", "prune", "finetune", "pack", "run", "eval", "bench", "verify", "convert"}) {
      const Said said = run({command, "--help"});
      for (const char* name : {"file-bytes", "header-bytes", "tensors", "rank", "name-bytes", "nesting", "objects",
                               "shards", "extra-bytes", "inflate-ratio"})
        CHECK(holds(said.out, cat("--limit-", name, " ")));
    }
  }
}
