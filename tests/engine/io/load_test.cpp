#include "coppice/engine/io/load.h"

#include "coppice/engine/checked.h"
#include "coppice/engine/io/npy.h"
#include "engine/io/every_kind.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;
using namespace std::string_literals;

TEST_SUITE("engine/io/load") {
  TEST_CASE("each extension is written, and read by what the file holds, whatever its name") {
    const TempDir dir;
    for (const char* extension : {".safetensors", ".pt", ".pth", ".bin", ".npz"}) {
      CAPTURE(extension);
      const NamedTensors tensors = every_kind(extension != ".npz"s);
      save_tensors(dir / ("t"s + extension), tensors);
      check_same_bits(load_tensors(dir / ("t"s + extension)), tensors);
      std::filesystem::rename(dir / ("t"s + extension), dir / "renamed.dat");
      check_same_bits(load_tensors(dir / "renamed.dat"), tensors);
    }
    save_tensors(dir / "one.npy", {{"x", Tensor::of({1, 2})}});
    check_same_bits(load_tensors(dir / "one.npy"), {{"one", Tensor::of({1, 2})}});
    CHECK(load_tensors(kData / "torch/legacy_1_13.pt").size() == 22);
  }

  TEST_CASE("what cannot be written is refused before a file is made") {
    const TempDir dir;
    const auto said = [&](const char* name, const NamedTensors& t) {
      return outcome([&] {
        save_tensors(dir / name, t);
        return 0;
      });
    };
    CHECK(said("t.dat", {}).find("must end in .safetensors") != std::string::npos);
    CHECK(said("t.npy", {}).find("a .npy file holds one tensor; got 0") != std::string::npos);
    CHECK(dir.size() == 0);
  }

  TEST_CASE("other files are refused with what they are and what is read") {
    const TempDir dir;
    const auto said = [&](const std::string& bytes) {
      spill(dir / "model.pt", bytes);
      const std::string as_pt = outcome([&] { return load_tensors(dir / "model.pt"); });
      CHECK(as_pt.starts_with("FormatError"));
      spill(dir / "model.safetensors", bytes);
      CHECK(outcome([&] { return load_tensors(dir / "model.safetensors"); }).starts_with("FormatError"));
      spill(dir / "model", bytes);
      const std::string bare = outcome([&] { return load_tensors(dir / "model"); });
      CHECK(bare.starts_with("FormatError"));
      return bare;
    };
    CHECK(said("").find("is empty; safetensors, .pt") != std::string::npos);
    CHECK(said("\x1f\x8b\x08 rest").find("gzip") != std::string::npos);
    CHECK(said("7z\xbc\xaf\x27\x1c rest").find("7z archive") != std::string::npos);
    CHECK(said("\x89HDF\r\n\x1a\n rest").find("HDF5") != std::string::npos);
    CHECK(said("GGUF\3\0\0\0"s).find("GGUF") != std::string::npos);
    CHECK(said("\x80\2}q\0."s).find("plain pickle") != std::string::npos);
    std::string tar(512, '\0');
    tar.replace(257, 5, "ustar");
    CHECK(said(tar).find("tar archive") != std::string::npos);
    CHECK(said("\x08\x08\x12\x07pytorch\x1a"s).find("an ONNX model (export the state_dict") != std::string::npos);
    CHECK(said("\xEF\xBB\xBF\n<!DOCTYPE HTML>").find("an HTML page, not the file") != std::string::npos);
    CHECK(said("<html><body>").find("an HTML page") != std::string::npos);
    CHECK(said("version https://git-lfs.github.com/spec/v1\noid sha256:0\n").find("git lfs pull fetches it") !=
          std::string::npos);
    CHECK(said("hello world").find("of no known kind") != std::string::npos);
  }

  TEST_CASE("a page that stands where weights should is named as that, whatever its extension") {
    const TempDir dir;
    for (const char* name : {"a.safetensors", "a.pt", "a.npy", "a.json", "a.bin"}) {
      CAPTURE(name);
      spill(dir / name, "<!doctype html>");
      CHECK(outcome([&] { return load_tensors(dir / name); }).find("an HTML page") != std::string::npos);
    }
  }

  TEST_CASE("distributed checkpoints are refused with the command that makes one file of them") {
    const TempDir dir;
    std::filesystem::create_directory(dir / "step");
    spill(dir / "step/.metadata", "\x80\4N.");
    spill(dir / "step/__0_0.distcp", make_zip({{"archive/data.pkl", "\x80\2N."}}));
    for (const char* name : {"step", "step/__0_0.distcp"}) {
      CAPTURE(name);
      const std::string said = outcome([&] { return load_tensors(dir / name); });
      CHECK(said.starts_with("FormatError"));
      CHECK(said.find(cat("format_utils dcp_to_torch ", quote_path((dir / "step").string()), " model.pt")) !=
            std::string::npos);
    }
  }

  TEST_CASE("missing files and folders are an IoError") {
    const TempDir dir;
    CHECK(outcome([&] { return load_tensors(dir / "absent.pt"); }).starts_with("IoError"));
    CHECK(outcome([&] { return load_tensors(dir.path()); }).starts_with("IoError"));
  }
}
