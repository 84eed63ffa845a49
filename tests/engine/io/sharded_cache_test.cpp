/// Shards that are links: caches of Hugging Face, and what is no such cache.

#include <sys/stat.h>

#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/io/sharded.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
namespace fs = std::filesystem;

namespace {

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kOne = "model-00001-of-00002.safetensors";
constexpr const char* kTwo = "model-00002-of-00002.safetensors";

/// hub/blobs/{1,2,index} and links to them in hub/snapshots/abc.
struct Cache {
  TempDir dir;
  fs::path hub = dir / "hub", blobs = hub / "blobs", snapshot = hub / "snapshots" / "abc";
  NamedTensors expected{{"a", Tensor::of({1, 2})}, {"b", Tensor::of({3})}};

  Cache() {
    fs::create_directories(blobs);
    fs::create_directories(snapshot);
    write_safetensors(blobs / "1", {{"a", expected.at("a")}});
    write_safetensors(blobs / "2", {{"b", expected.at("b")}});
    spill(blobs / "index", cat(R"({"weight_map": {"a": ")", kOne, R"(", "b": ")", kTwo, "\"}}"));
    fs::create_symlink("../../blobs/1", snapshot / kOne);
    fs::create_symlink("../../blobs/2", snapshot / kTwo);
    fs::create_symlink("../../blobs/index", snapshot / kIndex);
  }
  /// Puts a link to `target` in the place of the second shard.
  void lead(const fs::path& target) const {
    fs::remove(snapshot / kTwo);
    fs::create_symlink(target, snapshot / kTwo);
  }
  [[nodiscard]] std::string said(const ReadOptions& options = {}) const {
    return outcome([&] { return load_tensors(snapshot / kIndex, options); });
  }
  void check_read() const { check_same_bits(load_tensors(snapshot / kIndex), expected); }
  void check_refused() const {
    const std::string text = said();
    CAPTURE(text);
    CHECK(text.starts_with("FormatError"));
    for (const char* part : {"symbolic link that leads out of", "/hub'", "not followed", "--follow-links", kTwo})
      CHECK(text.find(part) != text.npos);
  }
};

}  // namespace

TEST_SUITE("engine/io/sharded_cache") {
  TEST_CASE("links that stay inside the folder that holds snapshots are followed") {
    const Cache cache;
    cache.check_read();
    SUBCASE("through another link") {
      fs::create_symlink("2", cache.blobs / "more");
      cache.lead("../../blobs/more");
    }
    SUBCASE("through a folder that is a link") {
      fs::create_symlink("blobs", cache.hub / "linked");
      cache.lead("../../linked/./2");
    }
    SUBCASE("by its absolute path") { cache.lead(fs::canonical(cache.blobs) / "2"); }
    SUBCASE("to a file beside it") {
      fs::copy_file(cache.blobs / "2", cache.snapshot / "own");
      cache.lead("own");
    }
    SUBCASE("of another snapshot") {
      fs::create_directories(cache.hub / "snapshots/def");
      fs::copy_file(cache.blobs / "2", cache.hub / "snapshots/def/x");
      cache.lead("../def/x");
    }
    cache.check_read();
  }

  TEST_CASE("an index in a folder below the snapshot, and one that is reached through a link, are read") {
    const Cache cache;
    fs::create_directories(cache.snapshot / "unet");
    for (const char* name : {kOne, kTwo, kIndex})
      fs::create_symlink(fs::path("..") / fs::read_symlink(cache.snapshot / name), cache.snapshot / "unet" / name);
    check_same_bits(load_tensors(cache.snapshot / "unet" / kIndex), cache.expected);
    const TempDir elsewhere;
    fs::create_directory_symlink(cache.snapshot, elsewhere / "model");
    check_same_bits(load_tensors(elsewhere / "model" / kIndex), cache.expected);
  }

  TEST_CASE("links that leave the folder are refused, and followed where that is asked for") {
    const Cache cache;
    const TempDir elsewhere;
    fs::copy_file(cache.blobs / "2", elsewhere / "x.safetensors");
    SUBCASE("by an absolute path") { cache.lead(elsewhere / "x.safetensors"); }
    SUBCASE("upwards") {
      fs::copy_file(cache.blobs / "2", cache.dir / "x");
      cache.lead("../../../x");
    }
    SUBCASE("upwards and in again") { cache.lead("../../../hub/blobs/2"); }
    SUBCASE("to a folder whose name begins alike") {
      fs::create_directories(cache.dir / "hub2");
      fs::copy_file(cache.blobs / "2", cache.dir / "hub2/x");
      cache.lead(fs::canonical(cache.dir / "hub2") / "x");
    }
    SUBCASE("through a link inside") {
      fs::create_symlink(elsewhere / "x.safetensors", cache.blobs / "out");
      cache.lead("../../blobs/out");
    }
    SUBCASE("through a folder inside that is a link") {
      fs::create_directory_symlink(elsewhere.path(), cache.blobs / "folder");
      cache.lead("../../blobs/folder/x.safetensors");
    }
    SUBCASE("through a folder above that a link leads to") {
      fs::create_directory_symlink("..", cache.hub / "up");
      cache.lead("../../up/hub/blobs/2");
    }
    cache.check_refused();
    check_same_bits(load_tensors(cache.snapshot / kIndex, {.follow_links = true}), cache.expected);
  }

  TEST_CASE("a link that leads to no file is an error that names the shard") {
    const Cache cache;
    const auto check = [&](const char* category, const char* part) {
      const std::string text = cache.said();
      CAPTURE(text);
      CHECK(text.starts_with(category));
      CHECK(text.find(part) != text.npos);
      CHECK(text.find(kTwo) != text.npos);
    };
    cache.lead("../../blobs/absent");
    check("IoError", "No such file");
    cache.lead(kTwo);
    check("FormatError", "at most 40 symbolic links");
    cache.lead("../../blobs");
    check("FormatError", "it is a directory");
    cache.lead("..");
    check("FormatError", "a symbolic link to a directory");
    cache.lead("../../blobs/2/x");
    check("IoError", "Not a directory");
    REQUIRE(::mkfifo((cache.blobs / "pipe").c_str(), 0600) == 0);
    cache.lead("../../blobs/pipe");
    check("FormatError", "it is a pipe");
  }

  TEST_CASE("outside of snapshots a link is refused wherever it leads, with the option that follows it") {
    const Cache cache;
    const fs::path plain = cache.hub / "plain" / "abc";
    fs::create_directories(plain);
    for (const char* name : {kOne, kTwo, kIndex}) fs::copy_symlink(cache.snapshot / name, plain / name);
    const std::string text = outcome([&] { return load_tensors(plain / kIndex); });
    CAPTURE(text);
    CHECK(text.starts_with("FormatError"));
    CHECK(text.find("symbolic link, which is not followed (ReadOptions::follow_links, --follow-links") != text.npos);
    check_same_bits(load_tensors(plain / kIndex, {.follow_links = true}), cache.expected);
  }

  TEST_CASE("an index in the folder of snapshots itself is in no snapshot") {
    const Cache cache;
    for (const char* name : {kOne, kTwo, kIndex})
      fs::copy_symlink(cache.snapshot / name, cache.hub / "snapshots" / name);
    fs::remove(cache.hub / "snapshots" / kIndex);
    fs::copy_file(cache.blobs / "index", cache.hub / "snapshots" / kIndex);
    CHECK(outcome([&] { return load_tensors(cache.hub / "snapshots" / kIndex); }).find("symbolic link") !=
          std::string::npos);
  }
}
