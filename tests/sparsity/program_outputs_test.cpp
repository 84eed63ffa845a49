/// Outputs that cannot be written are refused before the work; names of files may be any bytes.

#include "coppice/engine/create.h"
#include "coppice/engine/io/npy.h"
#include "coppice/engine/io/safetensors.h"
#include "hostile/child.h"
#include "program.h"

using namespace coppice;
using namespace coppice::test;

namespace {

/// A call of every command that writes, with `output` without its extension. What they read is no model: who looks at
/// the output first never sees that.
std::vector<Words> writers(const TempDir& dir, const std::string& output) {
  spill(dir / "words.txt", "no tensors");
  write_npy(dir / "x.npy", zeros({2, 64}));
  const std::string in = (dir / "words.txt").string(), npy = output.empty() ? "" : output + ".npy",
                    model = output.empty() ? "" : output + ".safetensors";
  return {{"import", in, "--arch", in, "-o", model, "--force"},
          {"prune", in, "-o", model, "--amount", "1", "--force"},
          {"convert", in, "-o", npy, "--force"},
          {"finetune", in, "-o", model, "--data", "digits", "--force"},
          {"finetune", in, "-o", dir / "fine.safetensors", "--data", "digits", "--checkpoint", model},
          {"pack", in, "-o", model, "--force"},
          {"run", in, dir / "x.npy", "-o", npy, "--force"}};
}

}  // namespace

TEST_SUITE("sparsity/cli/outputs") {
  TEST_CASE("an output that cannot be written is refused at once: exit code 5, without a name 2") {
    const TempDir dir;
    const std::string folder = (dir / "folder").string();
    for (const char* extension : {".npy", ".safetensors"}) {
      std::filesystem::create_directory(folder + extension);
      spill(std::filesystem::path(folder + extension) / "mine", "mine");
      std::filesystem::create_symlink(folder + extension, (dir / "link").string() + extension);
    }
    const auto check_all = [&](const std::string& output, int code, const std::string& reason) {
      for (const Words& words : writers(dir, output)) {
        CAPTURE(words[0]);
        CAPTURE(output);
        const Said said = run(words);
        CAPTURE(said.err);
        CHECK(said.code == code);
        CHECK(holds(said.err, reason));
      }
    };
    check_all(folder, 5, "is a directory");
    check_all((dir / "link").string(), 5, "is a directory");
    check_all((dir / std::string(252, 'n')).string(), 5, "File name too long");
    check_all((dir / "words.txt" / "out").string(), 5, "Not a directory");
    check_all((dir / "no" / "out").string(), 5, "No such file or directory");
    check_all("/dev/full/out", 5, "Not a directory");
    for (const Words& words : writers(dir, "")) {
      CAPTURE(words[0]);
      CHECK(run(words).code == 2);
    }
    CHECK(slurp(folder + ".npy/mine") == "mine");
    CHECK(slurp(folder + ".safetensors/mine") == "mine");
    CHECK(dir.size() == 6);  // folders, links, words.txt and x.npy
    const Said device = run({"convert", dir / "x.npy", "-o", "/dev/null", "--force"});
    CHECK(device.code == 5);
    CHECK(holds(device.err, "a pipe, socket or device"));
  }

  TEST_CASE("a file whose name is no UTF-8 is imported; the model notes it with the byte made visible") {
    const TempDir dir;
    const std::string weights = (dir / "w\xff.pt").string(), model = (dir / "m\xff.safetensors").string();
    std::filesystem::copy_file(kData / "mlp_digits.pt", weights);
    REQUIRE(run({"import", weights, "--arch", kData / "mlp_digits.arch.json", "-o", model}).code == 0);
    CHECK(read_safetensors(model).metadata().at("coppice.source") == "w\\xff.pt");
    CHECK(json_of({"eval", model, "--data", "digits"}).at("count") == 360);
  }

  TEST_CASE("the demo in a folder whose name is no UTF-8 ends with its report") {
    if (sanitized()) return;  // the demo takes minutes then, and another test runs it
    const TempDir dir;
    const std::string folder = (dir / "\xff").string();
    const Said said = run({"demo", folder, "--quiet"});
    CAPTURE(said.err);
    CHECK(said.code == 0);
    CHECK(holds(said.out, "dense / packed"));
    const Json report = Json::parse(slurp(std::filesystem::path(folder) / "report.json"), nullptr, false);
    CHECK(report.at("schema") == "coppice.demo/1");
  }

  TEST_CASE("the demo sees before it trains that its files cannot be written: exit code 5") {
    const TempDir dir;
    std::filesystem::create_directory(dir / "packed_logits.npy");
    const Said folder = run({"demo", dir.path().string(), "--force"});
    CHECK(folder.code == 5);
    CHECK(holds(folder.err, "packed_logits.npy' must be a regular file to be replaced; it is a directory"));
    CHECK(dir.size() == 1);
    // The folder's own name is just short enough; those of the files in it are not.
    std::string deep = dir.path().string();
    while (deep.size() + 201 < 4089) deep += "/" + std::string(200, 'd');
    deep += "/" + std::string(4090 - deep.size() - 1, 'd');
    const Said said = run({"demo", deep, "--data-only"});
    CHECK(said.code == 5);
    CHECK(holds(said.err, "File name too long"));
  }
}
