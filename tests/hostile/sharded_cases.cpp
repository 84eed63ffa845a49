/// Hostile checkpoints in shards: an index and what stands in its folder.

#include "hostile/corpus.h"

using namespace std::string_literals;

namespace coppice::test {
namespace {

constexpr const char* kIndex = "model.safetensors.index.json";

/// A shard with a U8 tensor of one byte for each letter.
std::string shard(const std::string& names) {
  std::string header;
  for (std::size_t i = 0; i < names.size(); ++i)
    header += (i == 0 ? "{\"" : ",\"") + names.substr(i, 1) + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" +
              std::to_string(i) + "," + std::to_string(i + 1) + "]}";
  return st(header + "}", names);
}

std::string map_of(const std::string& entries) { return R"({"weight_map": {)" + entries + "}}"; }

const std::string kMap = map_of(R"("a": "one.safetensors", "b": "two.safetensors")");
const std::string kToX = map_of(R"("b": "x.safetensors")");
const std::vector<Companion> kShards{{"one.safetensors", shard("a")}, {"two.safetensors", shard("b")}};

/// An index beside two shards that are in order.
HostileFile index(const std::string& what, const std::string& text, const std::string& category,
                  const std::string& fragment, const std::vector<Companion>& beside = kShards) {
  return {{what, text, category, fragment}, ".index", 0, Kind::file, kIndex, beside};
}

/// An index that puts "b" into x.safetensors, which is made so.
HostileFile in_x(const std::string& what, const Companion& x, const std::string& category,
                 const std::string& fragment) {
  std::vector<Companion> beside = kShards;
  beside.push_back(x);
  return index(what, kToX, category, fragment, beside);
}

/// An index with this text, or this JSON, for the shard of "b".
HostileFile named(const std::string& what, const std::string& json, const std::string& fragment) {
  std::vector<Companion> beside = kShards;
  beside.push_back({"sub", "", Kind::folder});
  beside.push_back({"sub/x.safetensors", shard("b")});
  return index(what, map_of("\"b\": " + json), "FormatError", fragment, beside);
}

std::string many(std::size_t count, const std::string& name, const std::string& file) {
  std::string entries;
  for (std::size_t i = 0; i < count; ++i)
    entries += (i == 0 ? "\"" : ",\"") + name + std::to_string(i) + "\":\"" +
               (file.empty() ? std::to_string(i) + ".safetensors" : file) + "\"";
  return map_of(entries);
}

HostileFile shards_that_are_there(std::size_t count) {
  std::vector<Companion> beside{{"0.safetensors", shard("a")}};
  for (std::size_t i = 1; i < count; ++i)
    beside.push_back({std::to_string(i) + ".safetensors", "0.safetensors", Kind::hard_link});
  std::string text = many(count, "t", "");
  text.replace(text.find("t0"), 2, "a");  // the others are refused only when all were opened
  return index("H37 4,096 shards that are there, and only one with its tensor", text, "FormatError",
               "weight_map: 'a' must stand in '0.safetensors' alone; it stands in '1.safetensors' too", beside);
}

/// One file of a megabyte under many names. To read it once is to know that it is refused.
HostileFile one_file_for_all(std::size_t count) {
  std::string metadata;
  for (int i = 0; i < 100'000; ++i) metadata += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"\"";
  std::vector<Companion> beside{{"0.safetensors", st("{\"__metadata__\":{" + metadata + "}}")}};
  for (std::size_t i = 1; i < count; ++i)
    beside.push_back({std::to_string(i) + ".safetensors", "0.safetensors", Kind::hard_link});
  return index("H37 a file of 100,000 texts under 1,000 names", many(count, "t", ""), "FormatError",
               "weight_map: 't0' must stand in '0.safetensors'; it is not there", beside);
}

std::vector<HostileFile> places() {
  const std::string plain = "'b': a shard must be a plain file name", ends = "must end in .safetensors or .bin; it is ";
  return {
      named("H32 a shard far above", R"("../../etc/passwd")", plain),
      named("H32 a shard above", R"("../x.safetensors")", plain),
      named("H32 an absolute shard", R"("/etc/x.safetensors")", plain),
      named("H32 a shard in a folder below, which is there", R"("sub/x.safetensors")", plain),
      named("H32 a shard in this folder by a path", R"("./two.safetensors")", plain),
      named("H32 a backslash", R"("sub\\x.safetensors")", plain),
      named("H32 NUL in a shard", R"("two.safetensors\u0000.safetensors")", plain),
      named("H32 an empty shard", R"("")", ends + "''"),
      named("H32 the folder as a shard", R"(".")", ends + "'.'"),
      named("H32 a file of another kind", R"("passwd")", ends + "'passwd'"),
      index("H32 a shard name of 5,000 bytes", map_of("\"b\": \"" + std::string(5000, 's') + ".safetensors\""),
            "LimitError", "Limits::name_bytes"),
      index("H32 a shard name that no file system holds",
            map_of("\"b\": \"" + std::string(300, 's') + ".safetensors\""), "IoError", "File name too long"),
      in_x("H33 a link out of the folder", {"x.safetensors", "/etc/passwd", Kind::link}, "FormatError",
           "symbolic link, which is not followed"),
      in_x("H33 a link to the shard beside it", {"x.safetensors", "two.safetensors", Kind::link}, "FormatError",
           "symbolic link"),
      in_x("H33 a link to itself", {"x.safetensors", "x.safetensors", Kind::link}, "FormatError", "symbolic link"),
      in_x("H33 a link to nothing", {"x.safetensors", "absent", Kind::link}, "FormatError", "symbolic link"),
      in_x("H33 a link to /dev/zero", {"x.safetensors", "/dev/zero", Kind::link}, "FormatError", "symbolic link"),
      in_x("H33 a hard link, which is a file of the folder", {"x.safetensors", "two.safetensors", Kind::hard_link},
           "accepted", ""),
      index("H34 a missing shard", kToX, "IoError", "which puts 'b' there"),
      index("H34 both shards missing", kMap, "IoError", "one.safetensors': cannot open: No such file", {}),
      index("H34 control characters in the name of a missing shard", map_of(R"("b": "\u001b[2J\u202e.safetensors")"),
            "IoError", "\\x1b[2J\\xe2\\x80\\xae.safetensors"),
      in_x("H39 a folder as a shard", {"x.safetensors", "", Kind::folder}, "FormatError", "it is a directory"),
      in_x("H39 a pipe as a shard", {"x.safetensors", "", Kind::pipe}, "FormatError", "it is a pipe"),
      in_x("H39 a socket as a shard", {"x.safetensors", "", Kind::socket}, "FormatError", "which puts 'b' there"),
      in_x("H39 an index as a shard", {"x.safetensors", kToX}, "FormatError", "must lie inside the file"),
      index("H39 an index that names itself", map_of("\"b\": \""s + kIndex + "\""), "FormatError", ends),
      {{"H39 an index under the name of its own shard", kToX, "FormatError", "must lie inside the file"},
       ".index",
       0,
       Kind::file,
       "x.safetensors",
       kShards},
  };
}

std::vector<HostileFile> contents() {
  std::string deep = R"({"metadata": )" + std::string(100'000, '[');
  const std::vector<Companion> twice{{"one.safetensors", shard("a")}, {"two.safetensors", shard("ba")}},
      swapped{{"one.safetensors", shard("b")}, {"two.safetensors", shard("a")}},
      more{{"one.safetensors", shard("ac")}, {"two.safetensors", shard("b")}};
  const auto sized = [](const std::string& what, const std::string& metadata) {
    HostileFile file = index("H38 total_size " + what, "{" + metadata + "," + kMap.substr(1), "accepted", "");
    file.values = {'a', 'b'};
    return file;
  };
  HostileFile left_out = index("a tensor of a shard that the index does not list", kMap, "accepted", "", more);
  left_out.values = {'a', 'b'};
  const std::string not_a_file = "weight_map: 'a' must be the name of a file; it is ";
  return {
      index("H35 a tensor in two shards", kMap, "FormatError",
            "'one.safetensors' alone; it stands in 'two.safetensors'", twice),
      index("H35 tensors in each other's shards", kMap, "FormatError", "'b' must stand in 'two.safetensors' alone",
            swapped),
      index("H35 a tensor that its shard does not have", map_of(R"("a": "one.safetensors", "z": "two.safetensors")"),
            "FormatError", "'z' must stand in 'two.safetensors'; it is not there"),
      index("H36 an object for a shard", map_of(R"("a": {"file": "one.safetensors"})"), "FormatError",
            not_a_file + "an object"),
      index("H36 an array for a shard", map_of(R"("a": ["one.safetensors"])"), "FormatError", not_a_file + "an array"),
      index("H36 null for a shard", map_of(R"("a": null)"), "FormatError", not_a_file + "null"),
      index("H36 a number for a shard", map_of(R"("a": -1)"), "FormatError", not_a_file + "the number -1"),
      index(
          "H36 objects nested 100,000 deep for a shard",
          [] {
            std::string s = R"({"weight_map": {"a": )";
            for (int i = 0; i < 100'000; ++i) s += "{\"a\":";
            return s;
          }(),
          "FormatError", not_a_file + "an object"),
      index("H37 a million shards", many(1'000'000, "t", ""), "LimitError", "Limits::header_bytes"),
      index("H37 400,000 shards in 16 MB", many(400'000, "t", ""), "LimitError", "Limits::shards"),
      shards_that_are_there(4096),
      one_file_for_all(1000),
      sized("of 0", R"("metadata": {"total_size": 0})"),
      sized("of 2^64 - 1", R"("metadata": {"total_size": 18446744073709551615})"),
      sized("of 2^64", R"("metadata": {"total_size": 18446744073709551616})"),
      sized("of -1", R"("metadata": {"total_size": -1})"),
      sized("that is a text", R"("metadata": {"total_size": "all"})"),
      sized("without metadata", R"("metadata_": null)"),
      left_out,
      index("500,000 tensors in one shard", many(500'000, "t", "one.safetensors"), "FormatError",
            "'t0' must stand in 'one.safetensors'; it is not there"),
      index("an empty weight_map", map_of(""), "accepted", "", {}),
      index("a tensor twice in the index", map_of(R"("a": "one.safetensors", "\u0061": "two.safetensors")"),
            "FormatError", "weight_map: name 'a' stands twice"),
      index("weight_map missing", R"({"metadata": {"weight_map": {"a": "one.safetensors"}}})", "FormatError",
            "has no \"weight_map\""),
      index("weight_map twice", kMap.substr(0, kMap.size() - 1) + "," + kMap.substr(1), "FormatError",
            "\"weight_map\" stands twice"),
      index("weight_map is a text", R"({"weight_map": "one.safetensors"})", "FormatError",
            "\"weight_map\" must be an object; it is 'one.safetensors'"),
      index("weight_map is an array", R"({"weight_map": ["one.safetensors"]})", "FormatError", "it is an array"),
      index("metadata nested 100,000 deep", deep, "LimitError", "Limits::nesting"),
      index("an index that is an array", "[" + kMap + "]", "FormatError", "an index must be an object; it is an array"),
      index("an empty index", "", "FormatError", "byte 0: the index must be JSON"),
      index("an index cut short", kMap.substr(0, 40), "FormatError", "must be JSON"),
      index("an index of two documents", kMap + kMap, "FormatError",
            "byte " + std::to_string(kMap.size()) + ": the index must be JSON"),
      index("an index not UTF-8", map_of("\"\xFF\": \"one.safetensors\""), "FormatError", "ill-formed UTF-8 byte'"),
      index("an index with a byte order mark", "\xEF\xBB\xBF" + kMap, "FormatError", "must begin with '{'"),
      index("text behind a NUL", kMap + "\0{}"s, "FormatError", "the index contains NUL"),
      index("a tensor with NUL in its name", map_of(R"("a\u0000": "one.safetensors")"), "FormatError", "contains NUL"),
      index("a tensor name of 5,000 bytes", map_of("\"" + std::string(5000, 'n') + R"(": "one.safetensors")"),
            "LimitError", "Limits::name_bytes"),
      in_x("a shard that is damaged", {"x.safetensors", shard("b") + "x"}, "FormatError", "which puts 'b' there"),
      in_x("a shard that is a zip", {"x.safetensors", make_zip({{"b.npy", zeros(1)}})}, "FormatError",
           "which puts 'b' there"),
      in_x("a shard with a tensor of rank 17",
           {"x.safetensors", st(R"({"b":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],)"
                                R"("data_offsets":[0,1]}})",
                                "b")},
           "LimitError", "which puts 'b' there"),
      in_x("a shard of a type that is not read, left out by name",
           {"x.safetensors", st(R"({"b":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}})", std::string(8, 'b'))},
           "accepted", ""),
  };
}

}  // namespace

std::vector<HostileFile> sharded_cases() {
  std::vector<HostileFile> out = places();
  for (HostileFile& file : contents()) out.push_back(std::move(file));
  return out;
}

}  // namespace coppice::test
