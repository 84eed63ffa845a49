/// Checksums in the metadata of safetensors files: what they cover, and what happens when they do not hold.

#include <fstream>

#include "coppice/engine/create.h"
#include "coppice/engine/io/load.h"
#include "coppice/engine/io/safetensors.h"
#include "coppice/engine/parallel.h"
#include "engine/io/every_kind.h"
#include "engine/io/io_support.h"

using namespace coppice;
using namespace coppice::test;

namespace {

const SafetensorsWriteOptions kWith{.checksums = true};

/// "123456789" as bytes, whose CRC-32 is the published check value, and another tensor before it.
NamedTensors two() {
  std::vector<std::uint8_t> digits;
  for (const char c : std::string("123456789")) digits.push_back(static_cast<std::uint8_t>(c));
  NamedTensors out{{"x", Tensor::from(digits, {9})}, {"b", Tensor::of({1, 2})}};
  out.metadata() = {{"format", "pt"}};
  return out;
}

std::string words_of(const std::string& file) {
  const std::size_t at = file.find("\"coppice.crc32\":\"") + 17;
  return file.substr(at, file.find('"', at) - at);
}

std::string with_words(std::string file, const std::string& words) {
  const std::string old = words_of(file);
  REQUIRE(words.size() == old.size());
  return file.replace(file.find(old), old.size(), words);
}

std::string said(const std::filesystem::path& path, const ReadOptions& options = {}) {
  return outcome([&] { return read_safetensors(path, options); });
}

}  // namespace

TEST_SUITE("engine/io/safetensors_checksums") {
  TEST_CASE("what was written with checksums is read back, and the metadata is that of the caller") {
    const TempDir dir;
    NamedTensors all = every_kind();
    all.metadata() = {{"k", "v\nw"}, {"", ""}};
    write_safetensors(dir / "t.safetensors", all, kWith);
    for (const bool map : {true, false})
      for (const bool verify : {true, false}) {
        const NamedTensors read = read_safetensors(dir / "t.safetensors", {.map = map, .verify = verify});
        check_same_bits(read, all);
        CHECK(read.metadata() == all.metadata());
      }
    CHECK(load_tensors(dir / "t.safetensors").metadata() == all.metadata());
  }

  TEST_CASE("a word is the CRC-32 of the bytes of a tensor, in the order of names, behind that of the header") {
    const TempDir dir;
    write_safetensors(dir / "t.safetensors", two(), kWith);
    const std::string words = words_of(slurp(dir / "t.safetensors"));
    CHECK(words.size() == 3 * 9 - 1);
    CHECK(words.substr(18) == "cbf43926");
    const SafetensorsHeader header = read_safetensors_header(dir / "t.safetensors");
    REQUIRE(header.checksums.size() == 2);
    CHECK(header.entries[0].name == "x");
    CHECK(header.checksums[0] == 0xCBF43926);
    CHECK(!header.metadata.contains(kChecksumKey));
    CHECK(read_safetensors_header(dir / "t.safetensors", {.verify = false}).checksums.empty());
    write_safetensors(dir / "t.safetensors", two());
    CHECK(slurp(dir / "t.safetensors").find("crc32") == std::string::npos);
    CHECK(read_safetensors_header(dir / "t.safetensors").checksums.empty());
  }

  TEST_CASE("files are equal for any number of threads") {
    const TempDir dir;
    const int before = num_threads();
    const NamedTensors large{{"w", arange(0, 1'500'000, 1)}};
    std::string first;
    for (const int threads : {1, 2, 7}) {
      set_num_threads(threads);
      write_safetensors(dir / "t.safetensors", large, kWith);
      const std::string file = slurp(dir / "t.safetensors");
      if (first.empty()) first = file;
      CHECK(file == first);
      CHECK(said(dir / "t.safetensors") == "accepted");
    }
    set_num_threads(before);
  }

  TEST_CASE("every flipped bit of a file is found, but for those of the key itself") {
    const TempDir dir;
    write_safetensors(dir / "t.safetensors", two(), kWith);
    const std::string good = slurp(dir / "t.safetensors");
    const std::size_t key = good.find(kChecksumKey), key_end = key + std::string(kChecksumKey).size();
    for (std::size_t at = 0; at < good.size(); ++at)
      for (int bit = 0; bit < 8; ++bit) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
        spill(dir / "t.safetensors", bad);
        const std::string result = said(dir / "t.safetensors");
        CAPTURE(at);
        CAPTURE(bit);
        const bool refused =
            result.starts_with("FormatError: [read_safetensors] ") || result.starts_with("LimitError: ");
        if (at < key || at >= key_end) CHECK(refused);
      }
  }

  TEST_CASE("a damaged tensor: the message names file, byte, tensor and both checksums") {
    const TempDir dir;
    write_safetensors(dir / "t.safetensors", two(), kWith);
    std::string bad = slurp(dir / "t.safetensors");
    const SafetensorsHeader header = read_safetensors_header(dir / "t.safetensors");
    bad[header.entries[0].begin + 4] ^= 1;
    spill(dir / "t.safetensors", bad);
    const std::string message = said(dir / "t.safetensors");
    CAPTURE(message);
    CHECK(message.starts_with("FormatError: [read_safetensors] '"));
    CHECK(message.find(cat("t.safetensors', byte ", header.entries[0].begin, ": tensor 'x' is damaged")) !=
          message.npos);
    CHECK(message.find("says cbf43926") != message.npos);
    CHECK(said(dir / "t.safetensors", {.verify = false}) == "accepted");
    CHECK(read_safetensors_header(dir / "t.safetensors").checksums.size() == 2);  // which touches no data
  }

  TEST_CASE("the same tensors in another order and with other offsets keep their checksums true") {
    const TempDir dir;
    const NamedTensors tensors = two();
    write_safetensors(dir / "t.safetensors", tensors, kWith);
    const std::string words = words_of(slurp(dir / "t.safetensors"));
    NamedTensors turned{{"b", tensors.at("b")}, {"x", tensors.at("x")}};
    turned.metadata() = tensors.metadata();
    write_safetensors(dir / "t.safetensors", turned, {SafetensorsWriteOptions::DataOrder::given, 8, true});
    CHECK(words_of(slurp(dir / "t.safetensors")) == words);
    CHECK(said(dir / "t.safetensors") == "accepted");
  }

  TEST_CASE("values, names, types, shapes and metadata that changed under checksums handed on are refused") {
    const TempDir dir;
    const NamedTensors tensors = two();
    write_safetensors(dir / "t.safetensors", tensors, kWith);
    const std::string words = words_of(slurp(dir / "t.safetensors"));
    const auto changed = [&](const char* what, const NamedTensors& other, std::map<std::string, std::string> metadata) {
      CAPTURE(what);
      NamedTensors all = other;
      all.metadata() = std::move(metadata);
      write_safetensors(dir / "t.safetensors", all, kWith);
      spill(dir / "t.safetensors", with_words(slurp(dir / "t.safetensors"), words));
      const std::string message = said(dir / "t.safetensors");
      CAPTURE(message);
      CHECK(message.starts_with("FormatError"));
      CHECK(message.find("was changed by a program that does not know its checksum") != message.npos);
      CHECK(said(dir / "t.safetensors", {.verify = false}) == "accepted");
    };
    const std::map<std::string, std::string> same{{"format", "pt"}};
    changed("a value", {{"x", tensors.at("x")}, {"b", Tensor::of({1, 3})}}, same);
    changed("a name", {{"x", tensors.at("x")}, {"c", tensors.at("b")}}, same);
    changed("a type", {{"x", tensors.at("x")}, {"b", zeros({1}, Dtype::i64)}}, same);
    changed("a shape", {{"x", tensors.at("x").reshape({3, 3})}, {"b", tensors.at("b")}}, same);
    changed("a value of the metadata", tensors, {{"format", "tf"}});
    changed("a key of the metadata", tensors, {{"formaT", "pt"}});
    changed("no metadata", tensors, {});
    changed("more metadata", tensors, {{"a", ""}, {"format", "pt"}});
  }

  TEST_CASE("checksums that are none") {
    const TempDir dir;
    write_safetensors(dir / "good.safetensors", two(), kWith);
    const std::string good = slurp(dir / "good.safetensors"), words = words_of(good);
    const auto refused = [&](const std::string& text, const std::string& fragment) {
      CAPTURE(text);
      spill(dir / "t.safetensors", with_words(good, text));
      const std::string message = said(dir / "t.safetensors");
      CAPTURE(message);
      CHECK(message.starts_with("FormatError: [read_safetensors] "));
      CHECK(message.find("metadata 'coppice.crc32'") != message.npos);
      CHECK(message.find(fragment) != message.npos);
      CHECK(said(dir / "t.safetensors", {.verify = false}) == "accepted");
    };
    refused("X" + words.substr(1), "word 0 must be 8 small hexadecimal digits before a space; it is 'X");
    refused(words.substr(0, 18) + "CBF43926", "word 2");
    refused(words.substr(0, 8) + "_" + words.substr(9), "word 0");
    refused("-1" + words.substr(2), "word 0");
    spill(dir / "t.safetensors", st(R"({"__metadata__":{"coppice.crc32":""}})"));
    CHECK(said(dir / "t.safetensors").find("must be 1 words of 8") != std::string::npos);
    spill(dir / "t.safetensors", st(R"({"__metadata__":{"coppice.crc32":"00000000"}})"));
    CHECK(said(dir / "t.safetensors") == "accepted");  // nothing at all has the checksum 0
    spill(dir / "t.safetensors", st(R"({"__metadata__":{"coppice.crc32":"00000000 00000000"}})"));
    CHECK(said(dir / "t.safetensors").find("must be 1 words of 8") != std::string::npos);
  }

  TEST_CASE("the key belongs to the writer") {
    const TempDir dir;
    NamedTensors tensors = two();
    tensors.metadata()[kChecksumKey] = "00000000";
    for (const bool with : {true, false})
      CHECK_THROWS_WITH_AS(write_safetensors(dir / "t.safetensors", tensors, {.checksums = with}),
                           "[write_safetensors] metadata 'coppice.crc32' is the writer's own", ValueError);
    CHECK(dir.size() == 0);
  }
}
